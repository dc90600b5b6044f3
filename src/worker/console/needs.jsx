// The things that need the owner, in the sentences of the Worker, the urgent first.

import { Command, Panel, Time } from "./parts.jsx";

const LEVELS = { urgent: "Urgent", notice: "Soon" };

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
              <span class="level">{LEVELS[need.level] ?? need.level}</span> {need.text}
              {need.since && (
                <span class="faint">
                  {" "}
                  <Time at={need.since} isSpan />
                </span>
              )}
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
