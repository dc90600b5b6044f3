//! Prepared multiples of one point, with which a product with any scalar needs only additions: a
//! fixed-base comb with 8-bit windows. It does not take constant time, so it is only for public
//! values: the verification of a signature.
//!
//! All arithmetic of points is dalek's; this file only chooses the points to add. A scalar has 32
//! signed digits of base 256, and the table has, for each digit's place, the products with 1 to
//! 128.

use curve25519_dalek::{EdwardsPoint, Scalar};

/// Bits of a digit. 8 was the fastest of those measured. A table has 640 KiB. With 7 it would have
/// 370, and a product would take 37 additions instead of 32.
const DIGITS: usize = 32;
const MULTIPLES: usize = 128;

/// The prepared multiples.
#[derive(Clone, Debug)]
pub(super) struct Table(Vec<EdwardsPoint>);

impl Table {
    /// Prepares a point: about four thousand additions.
    pub(super) fn new(point: EdwardsPoint) -> Self {
        // A `Vec` from the start: the stack of wasm has one megabyte.
        let mut multiples = Vec::with_capacity(DIGITS * MULTIPLES);
        let mut place = point;
        for _ in 0..DIGITS {
            let mut multiple = place;
            for _ in 0..MULTIPLES {
                multiples.push(multiple);
                multiple += place;
            }
            // `multiple` is 129 times the place; the next place is 256 times this one.
            multiple -= place;
            place = multiple + multiple;
        }
        Self(multiples)
    }

    /// Adds the product of the point with a scalar, in time that depends on the scalar. A sum
    /// without a summand yet begins with the first one, because an addition to the neutral element
    /// would cost as much as any other.
    fn add_product(&self, sum: Option<EdwardsPoint>, scalar: &Scalar) -> Option<EdwardsPoint> {
        let mut sum = sum;
        let mut carry = 0;
        for (multiples, byte) in self.0.chunks_exact(MULTIPLES).zip(scalar.as_bytes()) {
            // 0 to 256 becomes -127 to 128. The last digit absorbs its carry, because a scalar is
            // below 2^253.
            let digit = i32::from(*byte) + carry;
            carry = i32::from(digit > 128);
            let digit = digit - 256 * carry;
            let multiple =
                usize::try_from(digit.unsigned_abs()).ok().and_then(|digit| digit.checked_sub(1));
            let Some(multiple) = multiple.and_then(|index| multiples.get(index)) else { continue };
            sum = Some(match sum {
                Some(sum) if digit < 0 => sum - multiple,
                Some(sum) => sum + multiple,
                None if digit < 0 => -multiple,
                None => *multiple,
            });
        }
        sum
    }
}

/// `a` times the point of one table plus `b` times that of another.
pub(super) fn sum_of_products(
    a: &Scalar,
    first: &Table,
    b: &Scalar,
    second: &Table,
) -> EdwardsPoint {
    second.add_product(first.add_product(None, a), b).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::{Scalar, constants::ED25519_BASEPOINT_POINT as B};

    use super::{Table, sum_of_products};

    #[test]
    fn agrees_with_dalek_at_every_carry() {
        let table = Table::new(B);
        let minus_one = -Scalar::ONE;
        let pattern = |byte: u8| Scalar::from_bytes_mod_order([byte; 32]);
        let scalars = [0_u64, 1, 127, 128, 129, 255, 256, 257, 32_767, 32_768, 65_535, u64::MAX]
            .map(Scalar::from);
        let more =
            [minus_one, pattern(0x7f), pattern(0x80), pattern(0x81), pattern(0xff), pattern(0x10)];
        let mut scalar = Scalar::from(7_u64);
        let random = (0..200).map(|_| {
            scalar = scalar * scalar + minus_one;
            scalar
        });
        for scalar in scalars.into_iter().chain(more).chain(random.collect::<Vec<_>>()) {
            let product = table.add_product(None, &scalar).unwrap_or_default();
            assert_eq!(product, B * scalar);
            assert_eq!(table.add_product(Some(B), &scalar), Some(B * (scalar + Scalar::ONE)));
            assert_eq!(
                sum_of_products(&scalar, &table, &minus_one, &table),
                B * (scalar + minus_one)
            );
        }
    }
}
