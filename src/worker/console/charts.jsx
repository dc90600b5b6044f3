// The three charts, each with a legend and a table of the same figures.

import { chartOf, Chart } from "./chart.jsx";
import { clock, day, dayUtc } from "./format.js";
import { Choice, Command, Panel } from "./parts.jsx";

const RANGES = [
  ["24h", "24 h"],
  ["7d", "7 d"],
  ["30d", "30 d"],
  ["90d", "90 d"],
];

const MAX_CODES = 4; // as many colours as can be told apart; the rest is one series

/** The series of refusals: one for each of the most frequent codes. */
function refusals(points) {
  const sums = new Map();
  for (const { refused } of points) {
    for (const [code, count] of Object.entries(refused)) sums.set(code, (sums.get(code) ?? 0) + count);
  }
  const codes = [...sums].sort(([, one], [, other]) => other - one).map(([code]) => code);
  // With one code more than there are colours, "others" would be that one code.
  const named = codes.length > MAX_CODES + 1 ? codes.slice(0, MAX_CODES) : codes;
  const rest = codes.slice(named.length);
  const series = named.map((code) => ({ name: code, values: points.map(({ refused }) => refused[code] ?? 0) }));
  if (rest.length > 0) {
    series.push({ name: "others", values: points.map(({ refused }) => rest.reduce((sum, code) => sum + (refused[code] ?? 0), 0)) });
  }
  return series.length > 0 ? series : [{ name: "refused", values: points.map(() => 0) }];
}

/** The mean time of Pi's calls; none in an hour without calls. */
const meanMs = ({ pi }) => (pi.calls > 0 ? Math.round(pi.ms / pi.calls) : null);

/** The three charts of some points. */
function chartsOf({ unit, points }) {
  const times = points.map(({ at }) => new Date(at));
  const ofHour = (date) => (points.length > 24 ? `${day(date)}, ${clock(date)}` : clock(date));
  const ofTick = (date) => (date.getHours() > 0 ? clock(date) : day(date));
  const shape = { times, unit, ...(unit === "hour" ? { label: ofHour, tick: ofTick } : { label: dayUtc, tick: dayUtc }) };
  return [
    chartOf({
      ...shape,
      title: "Sign-ins",
      series: [
        { name: "returning", values: points.map(({ returning }) => returning) },
        { name: "new", values: points.map(({ newUsers }) => newUsers) },
      ],
    }),
    chartOf({ ...shape, title: "Refused", series: refusals(points) }),
    chartOf({
      ...shape,
      title: "Pi",
      series: [{ name: "failed calls", values: points.map(({ pi }) => pi.failed), isBad: true }],
      line: { name: "mean time", unit: "ms", values: points.map(meanMs) },
    }),
  ];
}

export function Charts({ overview: { series, stock, service, today }, range, setRange }) {
  if (!series) return null;
  const hasSignIns = series.points.some(({ newUsers, returning }) => newUsers + returning > 0);
  const isFirstDay = !hasSignIns && today.signIns === 0 && !(stock.users?.count > 0);
  if (isFirstDay) return <FirstDay service={service} />;
  return (
    <Panel id="charts" title={series.unit === "hour" ? "By hour" : "By day (UTC)"} control={<Choice label="Range of the charts" options={RANGES} value={range} onChoose={setRange} />}>
      <div class="charts">
        {chartsOf(series).map((chart) => (
          <Chart key={chart.title} chart={chart} />
        ))}
      </div>
    </Panel>
  );
}

/** The demo users of the simulated Pi exist only in development. */
const tokenOf = ({ environment }) => (environment === "development" ? "sim-alice" : "ACCESS_TOKEN");

function FirstDay({ service }) {
  return (
    <Panel id="charts" title="No sign-ins yet" kind="first-day">
      <p>
        The charts begin with the first person who signs in.
        {service.environment === "development" ? " This command signs in a demo user." : " This command signs in with an access token from Pi.authenticate in your app."}
      </p>
      <Command text={`curl ${service.issuer}/session -H "content-type: application/json" -d '{"accessToken":"${tokenOf(service)}"}'`} />
    </Panel>
  );
}
