// One chart: bars that stand on each other, and a line if there is one. uPlot draws it on a canvas,
// which nobody can read aloud or copy, so the same figures are in a legend and in a table.

import { useEffect, useRef, useState } from "preact/hooks";
import UPlot from "uplot";
import { number } from "./format.js";

const HEIGHT = 140; // CSS pixels
const BAR_SHARE = 0.72; // of the room of each point
const MAX_BAR = 28;

/** A chart: its points in time, the bars, the line if there is one, and how a time is written.
 *
 * @typedef {{ name: string, values: number[], isBad?: boolean, sum?: number }} Bars
 * @typedef {{ name: string, unit: string, values: (number | null)[] }} Line
 * @typedef {{ title: string, unit: string, times: Date[], series: Bars[], line?: Line, label: (time: Date) => string, tick: (time: Date) => string }} Description */

/** Completes the description of a chart by its sums.
 *
 * @param {Description} description
 * @returns {Description} */
export function chartOf({ series, ...more }) {
  const sum = (values) => values.reduce((sum, value) => sum + (value ?? 0), 0);
  return { ...more, series: series.map((one) => ({ ...one, sum: sum(one.values) })) };
}

/** Each series with those below it added, the highest first: it is drawn behind the others. */
function stacked(series) {
  const tops = [];
  for (const { values } of series) tops.push(values.map((value, at) => value + (tops.at(-1)?.[at] ?? 0)));
  return tops.reverse();
}

/** The colours of the style sheet, which differ in the dark. */
function palette(element) {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/** @param {Bars} bars
 * @param {number} index */
const colourName = ({ isBad }, index) => (isBad ? "chart-bad" : `chart-${index + 1}`);

/** A scale from 0 to the next round number. Its half is whole, and labelled as well, so two scales
 * beside each other share the lines of the grid.
 *
 * @returns {UPlot.Scale} */
const scaleTo = (least) => ({
  range: (_, __, max) => {
    const most = Math.max(max ?? 0, least);
    const unit = 10 ** Math.floor(Math.log10(most));
    return [0, unit * [1, 2, 4, 6, 8, 10].find((times) => times * unit >= most)];
  },
});

/** @param {{ chart: Description, width: number, colour: (name: string) => string, onPoint: (index: number | undefined) => void }} view
 * @returns {UPlot.Options} */
function optionsOf({ chart, width, colour, onPoint }) {
  const { times, series, line, tick, unit } = chart;
  const step = (times[1].getTime() - times[0].getTime()) / 1000;
  const bars = UPlot.paths.bars({ size: [BAR_SHARE, MAX_BAR] });
  const font = "12px system-ui, sans-serif";
  const axis = { stroke: colour("faint"), font, labelFont: font, labelSize: 16, grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  const upright = { ...axis, size: 42, splits: (_, __, min, max) => [min, max / 2, max], values: (_, splits) => splits.map(number) };
  return {
    width,
    height: HEIGHT,
    padding: [8, line ? 0 : 16, null, null],
    // Days are those of UTC, and so are their ticks.
    ...(unit === "day" && { tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1000), "UTC") }),
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      // Half a bar of room at both ends.
      x: { time: true, range: (_, min, max) => [min - step / 2, max + step / 2] },
      y: scaleTo(4),
      ...(line && { ms: scaleTo(100) }),
    },
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 60, values: (_, splits) => splits.map((seconds) => tick(new Date(seconds * 1000))) },
      { ...upright, ...(line && { label: series[0].name }) },
      ...(line ? [{ ...upright, scale: "ms", side: 1, grid: { show: false }, label: `${line.name}, ${line.unit}` }] : []),
    ],
    series: [
      {},
      ...series
        .map((one, index) => ({ label: one.name, scale: "y", paths: bars, fill: colour(colourName(one, index)), points: { show: false } }))
        .reverse(),
      ...(line ? [{ label: line.name, scale: "ms", stroke: colour("chart-line"), width: 2, spanGaps: false, points: { show: true, size: 4, fill: colour("chart-line") } }] : []),
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? undefined)] },
  };
}

/** Redraws when the colours of the system change. */
function useScheme() {
  const [isDark, setDark] = useState(matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setDark(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  return isDark;
}

/** @param {{ chart: Description }} properties */
export function Chart({ chart }) {
  const ref = useRef(/** @type {HTMLDivElement | undefined} */ (undefined));
  const isDark = useScheme();
  const [point, setPoint] = useState(/** @type {number | undefined} */ (undefined));
  const { title, times, series, line, label } = chart;
  useEffect(() => {
    const element = ref.current;
    const seconds = times.map((time) => time.getTime() / 1000);
    const data = [seconds, ...stacked(series), ...(line ? [line.values] : [])];
    const plot = new UPlot(optionsOf({ chart, width: element.clientWidth, colour: palette(element), onPoint: setPoint }), data, element);
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [chart.times.length, JSON.stringify([times, series, line]), isDark]);
  const isAt = point !== undefined && point < times.length;
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <span class="faint">{isAt ? label(times[point]) : ""}</span>
      </figcaption>
      <div ref={ref} class="plot" role="img" aria-label={summaryOf(chart)} />
      <ul class="legend">
        {series.map((one, index) => (
          <li key={one.name}>
            <span class={`swatch ${colourName(one, index)}`} aria-hidden="true" />
            {one.name} <b>{number(isAt ? one.values[point] : one.sum)}</b>
          </li>
        ))}
        {line && (
          <li>
            <span class="swatch line" aria-hidden="true" />
            {line.name} <b>{valueOf(line, isAt ? point : lastOf(line))}</b>
          </li>
        )}
      </ul>
      <Table chart={chart} />
    </figure>
  );
}

const lastOf = ({ values }) => values.findLastIndex((value) => value !== null);
const valueOf = ({ values, unit }, at) => (values[at] === null || values[at] === undefined ? "–" : `${number(values[at])} ${unit}`);

/** The chart in a sentence.
 *
 * @param {Description} description */
function summaryOf({ title, times, unit, series, line }) {
  const sums = series.map(({ name, sum }) => `${name} ${number(sum)}`);
  if (line) sums.push(`${line.name} at the end ${valueOf(line, lastOf(line))}`);
  return `${title}, the last ${times.length} ${unit}s: ${sums.join(", ")}. The figures are in the table below.`;
}

/** The figures of a chart. The rows are made when somebody opens it.
 *
 * @param {{ chart: Description }} properties */
function Table({ chart: { title, times, label, series, line, unit } }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="table" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        Table<span class="unseen"> of {title}</span>
      </summary>
      {isOpen && (
        <div class="scrolls" tabIndex={0} role="region" aria-label={`Table of ${title}`}>
          <table>
            <thead>
              <tr>
                <th scope="col">{unit === "hour" ? "Hour" : "Day"}</th>
                {series.map(({ name }) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
                {line && <th scope="col">{line.name}</th>}
              </tr>
            </thead>
            <tbody>
              {times.map((time, at) => (
                <tr key={time.getTime()}>
                  <th scope="row">{label(time)}</th>
                  {series.map(({ name, values }) => (
                    <td key={name}>{number(values[at])}</td>
                  ))}
                  {line && <td>{valueOf(line, at)}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
