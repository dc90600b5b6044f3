// The signing keys, and the settings of this deployment. A Worker cannot change its own secrets, so
// there is nothing to press here.

import { Badge, Facts, Id, Loaded, Panel, Time } from "./parts.jsx";
import { useLoad } from "./state.js";

const Yes = ({ isSet }) => <Badge kind={isSet ? "paid" : "cancelled"}>{isSet ? "set" : "not set"}</Badge>;

export function KeysAndSettings() {
  return (
    <Panel id="keys" title="Keys and settings">
      <Keys />
      <Settings />
    </Panel>
  );
}

const ageOf = (days) => `${days} day${days === 1 ? "" : "s"} old`;

const Keys = () => (
  <Loaded from={useLoad("keys")}>
    {({ keys }) => (
      <ul class="rows">
        {keys.map(({ kid, state, since, ageDays }) => (
          <li key={kid} class="row plain">
            <span class="row-main">
              <Id>{kid}</Id>
              <span class="row-side">
                <Badge kind={state === "active" ? "paid" : "recorded"}>{state}</Badge>
              </span>
            </span>
            <span class="row-more">
              <span>
                {ageDays === undefined ? "age unknown" : ageOf(ageDays)}
                {since && (
                  <>
                    , since <Time at={since} />
                  </>
                )}
              </span>
            </span>
          </li>
        ))}
      </ul>
    )}
  </Loaded>
);

const Settings = () => (
  <Loaded from={useLoad("settings")}>
    {({ settings, secrets, bindings, schema, version }) => (
      <>
        <Facts
          rows={[
            ["Version", version],
            ["Schema", schema && (schema.missing?.length > 0 ? `missing: ${schema.missing.join(", ")}` : schema.newest)],
          ]}
        />
        <details class="add">
          <summary>Settings</summary>
          <h3>Variables</h3>
          <Facts rows={settings.map(({ name, value }) => [name, <code class="value">{value}</code>])} />
          <h3>Secrets</h3>
          <Facts rows={secrets.map(({ name, isSet }) => [name, <Yes isSet={isSet} />])} />
          <h3>Bindings</h3>
          <Facts rows={bindings.map(({ name, isSet }) => [name, <Yes isSet={isSet} />])} />
        </details>
      </>
    )}
  </Loaded>
);
