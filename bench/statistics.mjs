// Statistics of many measurements.

export const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

export const median = (values) => quantile(Float64Array.from(values).sort(), 0.5);
