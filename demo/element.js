// Makes elements of the page. A text never becomes markup.

/**
 * @param {string} name
 * @param {Record<string, any>} [properties] of the element. `on` has its event listeners.
 * @param {(Node | string)[]} children
 */
export function element(name, { on = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  for (const [type, listener] of Object.entries(on)) made.addEventListener(type, listener);
  made.append(...children);
  return made;
}

/** A button that copies a text. It says the result itself, because it may be far from the status. */
export function copyButton(label, text, description = label) {
  const button = element("button", { type: "button", className: "copy", textContent: label });
  button.setAttribute("aria-label", description);
  const say = (result) => {
    button.textContent = result;
    setTimeout(() => (button.textContent = label), 2000);
  };
  button.addEventListener("click", async () => {
    // A frame of another site may not write to the clipboard.
    await navigator.clipboard.writeText(text()).then(() => say("Copied"), () => say("Not allowed here"));
  });
  return button;
}
