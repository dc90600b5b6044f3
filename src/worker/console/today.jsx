// The figures of today, beside those of the same weekday a week ago until the same hour.

import { DEFINITIONS } from "./definitions.js";
import { number, percent, pi } from "./format.js";
import { Facts, Panel, Time } from "./parts.jsx";

/** @param {{ name: string, value: number, children?: import("preact").ComponentChildren, before?: string, title: string }} properties */
const Tile = ({ name, value, children, before, title }) => (
  <div class="tile" title={title}>
    <dt>{name}</dt>
    <dd>
      <span class="figure">{number(value)}</span>
      {children}
      {before && (
        <span class="before" title={DEFINITIONS.weekAgo}>
          week ago {before}
        </span>
      )}
    </dd>
  </div>
);

const AsOf = ({ at }) => (
  <span class="before">
    as of <Time at={at} />
  </span>
);

/** Orders and their sum, if there are any. */
const amountOf = ({ count, amount }) => count > 0 && pi(amount);
const paidOf = (paid) => [number(paid.count), amountOf(paid)].filter(Boolean).join(", ");

export function Today({ overview: { service, today, weekAgo, stock, run, at } }) {
  return (
    <Panel
      id="today"
      title="Today"
      control={
        today && (
          <p class="faint">
            since midnight UTC, as of <Time at={at} />
          </p>
        )
      }
    >
      {today ? (
        <Tiles today={today} weekAgo={weekAgo} {...stock} />
      ) : (
        <p>
          {service.counts
            ? "No figures: the database lacks a migration."
            : "No figures and no charts: COUNTS is off. Set it to on to have them."}
        </p>
      )}
      <Details {...today} weekAgo={weekAgo} run={run} />
    </Panel>
  );
}

const Tiles = ({ today: { signIns, newUsers, paid, refreshes }, weekAgo, users, liveSessions, activeYesterday }) => (
  <dl class="tiles">
    <Tile name="Sign-ins" value={signIns} before={weekAgo && number(weekAgo.signIns)} title={DEFINITIONS.signIns} />
    <Tile name="New people" value={newUsers} before={weekAgo && number(weekAgo.newUsers)} title={DEFINITIONS.newUsers} />
    <Tile name="Paid orders" value={paid.count} before={weekAgo && paidOf(weekAgo.paid)} title={DEFINITIONS.paid}>
      <span class="more-figure">{amountOf(paid)}</span>
    </Tile>
    <Tile name="Refreshes" value={refreshes} before={weekAgo && number(weekAgo.refreshes)} title={DEFINITIONS.refreshes} />
    {liveSessions && (
      <Tile name="Live sessions" value={liveSessions.count} title={DEFINITIONS.liveSessions}>
        <AsOf at={liveSessions.at} />
      </Tile>
    )}
    {users && (
      <Tile name="People in all" value={users.count} title={DEFINITIONS.users}>
        <AsOf at={users.at} />
      </Tile>
    )}
    {activeYesterday && <Tile name="Active yesterday" value={activeYesterday.count} title={DEFINITIONS.activeYesterday} />}
  </dl>
);

const OUTCOMES = [
  ["paid", "paid"],
  ["cancelled", "cancelled"],
  ["waiting", "waiting"],
  ["failed", "failed"],
  ["givenUp", "given up"],
];

/** How the last run of the scheduled event went: "2 paid, 1 failed". */
function outcomeOf(outcome) {
  if (outcome.code) return `failed: ${outcome.code}`;
  const counted = OUTCOMES.filter(([name]) => outcome[name] > 0);
  return counted.length === 0 ? "nothing to do" : counted.map(([name, word]) => `${number(outcome[name])} ${word}`).join(", ");
}

function Details({ refused, pi: calls, d1, weekAgo, run }) {
  const sum = (list) => list.reduce((sum, { count }) => sum + count, 0);
  return (
    <Facts
      rows={[
        [
          "Refused",
          refused && (
            <>
              {number(sum(refused))}
              {weekAgo && <span class="before"> week ago {number(sum(weekAgo.refused))}</span>}{" "}
              <ul class="codes">
                {refused.map(({ code, count }) => (
                  <li key={code}>
                    <code>{code}</code> {number(count)}
                  </li>
                ))}
              </ul>
            </>
          ),
          DEFINITIONS.refused,
        ],
        [
          "Pi",
          calls && (
            <>
              {number(calls.calls)} calls, {number(calls.failed)} failed
              {calls.halfUnderMs && <span title={DEFINITIONS.half}>, half under {number(calls.halfUnderMs)} ms</span>}
              {calls.most95UnderMs && <span title={DEFINITIONS.most}>, 95 in 100 under {number(calls.most95UnderMs)} ms</span>}
            </>
          ),
          DEFINITIONS.pi,
        ],
        [
          "Database",
          d1 && (
            <>
              <span title={DEFINITIONS.rowsRead}>
                {number(d1.rowsRead)} rows read ({percent(d1.shareRead)})
              </span>
              ,{" "}
              <span title={DEFINITIONS.rowsWritten}>
                {number(d1.rowsWritten)} written ({percent(d1.shareWritten)} of the free plan)
              </span>
            </>
          ),
          DEFINITIONS.rowsWritten,
        ],
        [
          "Scheduled run",
          run && (
            <>
              <Time at={run.at} isSpan />, {outcomeOf(run.outcome)}
            </>
          ),
          DEFINITIONS.run,
        ],
      ]}
    />
  );
}

