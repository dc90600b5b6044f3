// The small parts that several panels are made of.

import { useState } from "preact/hooks";
import { clock, moment, pi, short, span } from "./format.js";
import { useShared } from "./state.js";

/** @import { ComponentChildren } from "preact" */

/** A panel with a heading, and a control beside it.
 *
 * @param {{ id: string, title: ComponentChildren, control?: ComponentChildren, children?: ComponentChildren, kind?: string }} properties */
export const Panel = ({ id, title, control, children, kind = "" }) => (
  <section class={`panel ${kind}`} aria-labelledby={id}>
    <div class="panel-head">
      <h2 id={id}>{title}</h2>
      {control}
    </div>
    {children}
  </section>
);

/** A moment in local time. The title has it in UTC. */
export function Time({ at, isSpan = false }) {
  if (!at) return null;
  const date = new Date(at);
  const away = date.getTime() - Date.now();
  const text = !isSpan ? moment(date) : away > 0 ? `in ${span(away)}` : `${span(away)} ago`;
  return (
    <time dateTime={at} title={`${date.toISOString().replace("T", " ").slice(0, 19)} UTC`}>
      {text}
    </time>
  );
}

/** A text that its author chose: it must not change the direction of the text around it. */
export const Foreign = ({ children }) => <bdi>{children}</bdi>;

export const Id = ({ children }) => (
  <code class="id" title={children}>
    {short(children)}
  </code>
);

export const Amount = ({ children }) => <span class="amount">{pi(children)}</span>;

/** @param {{ kind: string, children?: ComponentChildren, title?: string }} properties */
export const Badge = ({ kind, children, title }) => (
  <span class={`badge ${kind}`} title={title}>
    {children}
  </span>
);

/** Says why something is not there, in the words of the Worker. */
export const Problem = ({ error }) => (
  <p class="problem" role="alert">
    {error.message}
    {error.requestId && (
      <span class="request-id">
        {" "}
        Request <code>{error.requestId}</code>
      </span>
    )}
  </p>
);

/** The content of a panel once it has come; before, that it is loading, or why it did not come. If
 * a later request fails, the content stays, with its time.
 *
 * @param {{ from: import("./state.js").Loading, children: (data: any) => ComponentChildren }} properties */
export function Loaded({ from: { data, at, error }, children }) {
  if (!data) return error ? <Problem error={error} /> : <p class="loading">Loading …</p>;
  return (
    <>
      {error && (
        <details class="stale">
          <summary>
            <span role="status">As of {clock(at)}. The newest could not be read.</span>
          </summary>
          <Problem error={error} />
        </details>
      )}
      {children(data)}
    </>
  );
}

/** The items of a list, the button for more of them, or a sentence that there are none. */
export function Items({ list, empty, children }) {
  return (
    <Loaded from={list}>
      {() => (
        <>
          {list.items.length === 0 ? <p class="empty">{empty}</p> : <ul class="rows">{list.items.map(children)}</ul>}
          {list.moreError && <Problem error={list.moreError} />}
          {list.more && (
            <button class="more" disabled={list.isLoadingMore} onClick={list.more}>
              {list.isLoadingMore ? "Loading …" : "More"}
            </button>
          )}
        </>
      )}
    </Loaded>
  );
}

/** A choice of one of several: `options` are pairs of a value and its name. */
export const Choice = ({ label, options, value, onChoose }) => (
  <div class="choice" role="group" aria-label={label}>
    {options.map(([option, name]) => (
      <button key={option} aria-pressed={option === value} onClick={() => onChoose(option)}>
        {name}
      </button>
    ))}
  </div>
);

/** Copies a text. */
export function Copy({ text, what }) {
  const { say } = useShared();
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      say("Copied.");
    } catch {
      say("The browser did not allow copying. Select the text instead.");
    }
  };
  return (
    <button class="small" aria-label={`Copy ${what}`} onClick={copy}>
      {isCopied ? "Copied" : "Copy"}
    </button>
  );
}

/** A button that acts immediately. `deed` resolves with a message; a refusal is shown below.
 *
 * @param {{ deed: () => Promise<string>, kind?: string, title?: string, label?: string, children?: ComponentChildren }} properties */
export function Deed({ deed, kind = "", title, label, children }) {
  const { act } = useShared();
  const [{ error, isBusy }, setState] = useState(/** @type {{ error?: Error, isBusy?: boolean }} */ ({}));
  const run = async () => {
    setState({ isBusy: true });
    try {
      await act(deed);
      setState({});
    } catch (error) {
      setState({ error });
    }
  };
  return (
    <>
      <button class={kind} title={title} aria-label={label} disabled={isBusy} onClick={run}>
        {children}
      </button>
      {error && <Problem error={error} />}
    </>
  );
}

/** A command for a terminal. */
export const Command = ({ text }) => (
  <div class="command">
    <code>{text}</code>
    <Copy text={text} what="the command" />
  </div>
);

/** Names and values. An absent value leaves its row out. */
export const Facts = ({ rows }) => (
  <dl class="facts">
    {rows
      .filter(([, value]) => value !== undefined && value !== null && value !== "")
      .map(([name, value, title]) => (
        <div key={name}>
          <dt title={title}>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
  </dl>
);

/** What the last act came to, also for those who listen. */
export const Status = ({ text }) => (
  <p class="status" role="status">
    {text}
  </p>
);
