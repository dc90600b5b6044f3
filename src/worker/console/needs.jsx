// The things that need the owner, in the sentences of the Worker, the urgent first.

import { Command, Panel, Time } from "./parts.jsx";

const LEVELS = { urgent: "Urgent", notice: "Soon" };

/** The sentence, with the time in it as a local one. */
function localised({ text, since }) {
  const [before, after] = text.split(since);
  return after === undefined ? text : [before, <Time at={since} />, after];
}

export function Needs({ needs, showStuck }) {
  if (needs.length === 0) {
    return (
      <Panel id="needs" title="Needs you" kind="needs calm">
        <p class="calm-text">Nothing needs you right now.</p>
      </Panel>
    );
  }
  return (
    <Panel id="needs" title="Needs you" kind="needs">
      <ul class="rows">
        {needs.map((need) => (
          <li key={need.kind + need.text} class={`need ${need.level === "urgent" ? "urgent" : ""}`}>
            <p>
              <span class="level">{LEVELS[need.level]}</span> {localised(need)}
            </p>
            {need.kind === "payments_stuck" && (
              <button class="small" onClick={showStuck}>
                Show them
              </button>
            )}
            {need.command && <Command text={need.command} />}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
