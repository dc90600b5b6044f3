// Makes Ed25519 signatures that no library makes: with a point of small order, or in an encoding
// that is not canonical. It follows the formulas of RFC 8032 §5.1 in plain BigInt. For tests only:
// it is slow and not constant in time.

import { createHash } from "node:crypto";

const P = 2n ** 255n - 19n;
/** The order of the base point. */
export const L = 2n ** 252n + 27742317777372353535851937790883648493n;

const mod = (value, by = P) => ((value % by) + by) % by;

function power(base, exponent) {
  let result = 1n;
  for (base = mod(base); exponent > 0n; exponent >>= 1n, base = mod(base * base)) if (exponent & 1n) result = mod(result * base);
  return result;
}

const invert = (value) => power(value, P - 2n);
const D = mod(-121665n * invert(121666n));

const point = (x, y) => ({ x, y, z: 1n, t: mod(x * y) });

export const IDENTITY = point(0n, 1n);
/** Twice this is (0, -1), and four times the identity. */
export const ORDER_4 = point(power(2n, (P - 1n) / 4n), 0n);
export const BASE = point(15112221349535400772501151409588531511454012693041857206046113283949847762202n, mod(4n * invert(5n)));

/** RFC 8032 §5.1.4. */
export function add(p, q) {
  const a = mod((p.y - p.x) * (q.y - q.x));
  const b = mod((p.y + p.x) * (q.y + q.x));
  const c = mod(2n * D * p.t * q.t);
  const d = mod(2n * p.z * q.z);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return { x: mod(e * f), y: mod(g * h), z: mod(f * g), t: mod(e * h) };
}

export function multiply(scalar, p) {
  let result = IDENTITY;
  for (let sum = p; scalar > 0n; scalar >>= 1n, sum = add(sum, sum)) if (scalar & 1n) result = add(result, sum);
  return result;
}

const littleEndian = (value) => Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse();

/** A number from bytes in little-endian order. */
export const number = (bytes) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);

/** The 32 bytes of a point. With `canonical` false, its y plus the prime, which fits if y < 19. */
export function encode({ x, y, z }, canonical = true) {
  const inverse = invert(z);
  const [plainX, plainY] = [mod(x * inverse), mod(y * inverse)];
  if (!canonical && plainY >= 19n) throw new RangeError("this point has only one encoding");
  return littleEndian((canonical ? plainY : plainY + P) | ((plainX & 1n) << 255n));
}

/** The secret scalar of a seed, RFC 8032 §5.1.5. */
export function secretScalar(seed) {
  const half = createHash("sha512").update(seed).digest().subarray(0, 32);
  half[0] &= 248;
  half[31] = (half[31] & 127) | 64;
  return number(half);
}

/** The number k of RFC 8032 §5.1.7. */
export const challenge = (r, publicKey, message) => mod(number(createHash("sha512").update(r).update(publicKey).update(message).digest()), L);

/** R and S in 64 bytes. */
export const signature = (r, s) => Buffer.concat([r, littleEndian(s)]);
