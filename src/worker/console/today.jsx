// The figures of today, beside those of the same weekday a week ago until the same hour.

import { DEFINITIONS } from "./definitions.js";
import { number, percent, pi } from "./format.js";
import { Facts, Panel, Time } from "./parts.jsx";

const Tile = ({ name, value, more, before, title }) => (
  <div class="tile" title={title}>
    <dt>{name}</dt>
    <dd>
      <span class="figure">{value}</span>
      {more && <span class="more-figure">{more}</span>}
      {before !== undefined && (
        <span class="before" title={DEFINITIONS.weekAgo}>
          week ago {before}
        </span>
      )}
    </dd>
  </div>
);

const AsOf = ({ at }) =>
  at && (
    <span class="before">
      as of <Time at={at} />
    </span>
  );

const shown = (value) => (value === undefined ? undefined : number(value));

export function Today({ overview: { today, weekAgo, stock, run, at } }) {
  const { users, liveSessions, activeYesterday } = stock ?? {};
  return (
    <Panel
      id="today"
      title="Today"
      control={
        <p class="faint">
          since midnight UTC, as of <Time at={at} />
        </p>
      }
    >
      {today && (
        <dl class="tiles">
          {today.signIns !== undefined && <Tile name="Sign-ins" value={number(today.signIns)} before={shown(weekAgo?.signIns)} title={DEFINITIONS.signIns} />}
          {today.newUsers !== undefined && <Tile name="New people" value={number(today.newUsers)} before={shown(weekAgo?.newUsers)} title={DEFINITIONS.newUsers} />}
          {today.paid && (
            <Tile name="Paid orders" value={number(today.paid.count)} more={pi(today.paid.amount)} before={weekAgo?.paid && `${number(weekAgo.paid.count)}, ${pi(weekAgo.paid.amount)}`} title={DEFINITIONS.paid} />
          )}
          {today.refreshes !== undefined && <Tile name="Refreshes" value={number(today.refreshes)} before={shown(weekAgo?.refreshes)} title={DEFINITIONS.refreshes} />}
          {liveSessions && <Tile name="Live sessions" value={number(liveSessions.count)} more={<AsOf at={liveSessions.at} />} title={DEFINITIONS.liveSessions} />}
          {users && <Tile name="People in all" value={number(users.count)} more={<AsOf at={users.at} />} title={DEFINITIONS.users} />}
          {activeYesterday && <Tile name="Active yesterday" value={number(activeYesterday.count)} title={DEFINITIONS.activeYesterday} />}
        </dl>
      )}
      {today && <Details today={today} weekAgo={weekAgo} run={run} />}
    </Panel>
  );
}

const within = (milliseconds) => (milliseconds === undefined ? undefined : `${number(milliseconds)} ms`);

const NONE = { paid: 0, cancelled: 0, waiting: 0, failed: 0, givenUp: 0 };
const OUTCOMES = [
  ["paid", "paid"],
  ["cancelled", "cancelled"],
  ["waiting", "waiting"],
  ["failed", "failed"],
  ["givenUp", "given up"],
];

/** How the last run of the scheduled event went: "2 paid, 1 failed". */
function outcomeOf(outcome) {
  if (outcome?.code) return `failed: ${outcome.code}`;
  const counted = OUTCOMES.filter(([name]) => ({ ...NONE, ...outcome })[name] > 0);
  return counted.length === 0 ? "nothing to do" : counted.map(([name, word]) => `${number(outcome[name])} ${word}`).join(", ");
}

function Details({ today: { refused, pi: calls, d1 }, weekAgo, run }) {
  const sum = (list) => list.reduce((sum, { count }) => sum + count, 0);
  const half = calls && within(calls.halfUnderMs);
  const most = calls && within(calls.most95UnderMs);
  return (
    <Facts
      rows={[
        [
          "Refused",
          refused && (
            <>
              {number(sum(refused))}
              {weekAgo?.refused && <span class="before"> week ago {number(sum(weekAgo.refused))}</span>}
              {refused.length > 0 && (
                <ul class="codes">
                  {refused.map(({ code, count }) => (
                    <li key={code}>
                      <code>{code}</code> {number(count)}
                    </li>
                  ))}
                </ul>
              )}
            </>
          ),
          DEFINITIONS.refused,
        ],
        [
          "Pi",
          calls && (
            <>
              {number(calls.calls)} calls, {number(calls.failed)} failed
              {half && (
                <span title={DEFINITIONS.half}>, half under {half}</span>
              )}
              {most && (
                <span title={DEFINITIONS.most}>, 95 in 100 under {most}</span>
              )}
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

