// The dialogs: a drawer for one person or payment, and a question before an act. Both are modal, so
// the browser keeps the focus inside, closes them with Escape, and returns the focus afterwards.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Problem } from "./parts.jsx";

function useModal() {
  const ref = useRef(/** @type {HTMLDialogElement | undefined} */ (undefined));
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog.showModal();
    return () => {
      dialog.close();
      // The element from which it was opened may be gone, or there was none.
      if (document.activeElement === document.body) document.querySelector("h1")?.focus();
    };
  }, []);
  return ref;
}

/** Closes by Escape, or by a click beside the dialog. */
const closing = (close) => ({
  onCancel: (event) => {
    event.preventDefault();
    close();
  },
  onClick: (event) => event.target === event.currentTarget && close(),
});

/** The focus goes to the title, which says what has opened. */
export function Drawer({ title, kind, close, children }) {
  return (
    <dialog ref={useModal()} class="drawer" aria-labelledby="drawer-title" {...closing(close)}>
      <div class="drawer-body">
        <div class="panel-head">
          <div>
            <p class="kind">{kind}</p>
            <h2 id="drawer-title" tabIndex={-1} autofocus>{title}</h2>
          </div>
          <button class="small" onClick={close}>
            Close
          </button>
        </div>
        {children}
      </div>
    </dialog>
  );
}

/**
 * A question. `field` asks for a text: with `expected`, for exactly this one. `act` is called with
 * it, and resolves with a message. A refusal stays in the dialog.
 */
export function Question({ title, text, action, isDangerous, field, act, close, say }) {
  const [value, setValue] = useState(field?.initial ?? "");
  const [{ error, isBusy }, setState] = useState(/** @type {{ error?: Error, isBusy?: boolean }} */ ({}));
  const isReady = !field || (field.expected === undefined ? value.trim() !== "" : value === field.expected);
  const submit = async (event) => {
    event.preventDefault();
    if (!isReady || isBusy) return;
    setState({ isBusy: true });
    try {
      const message = await act(value.trim());
      close();
      say(message);
    } catch (error) {
      setState({ error });
    }
  };
  return (
    <dialog ref={useModal()} class="question" aria-labelledby="question-title" {...closing(close)}>
      <form onSubmit={submit}>
        <h2 id="question-title">{title}</h2>
        {text && <p>{text}</p>}
        {field && (
          <label>
            <span>{field.label}</span>
            <input
              value={value}
              onInput={(event) => setValue(event.currentTarget.value)}
              inputMode={field.inputMode}
              maxLength={field.maxLength}
              autocomplete="off"
              autocapitalize="none"
              spellcheck={false}
            />
          </label>
        )}
        {field?.preview && value.trim() !== "" && <p class="preview">{field.preview(value.trim())}</p>}
        {error && <Problem error={error} />}
        <div class="actions">
          <button type="button" onClick={close}>
            Back
          </button>
          <button type="submit" class={isDangerous ? "danger" : "primary"} disabled={!isReady || isBusy}>
            {isBusy ? "…" : action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
