//! [`Amount`]: an exact amount of Pi. The chain counts in stroops, ten million to one Pi.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Decimals of one Pi (a rule of Stellar, which Pi's chain keeps).
const DECIMALS: i32 = 7;
const STROOPS: u64 = 10_000_000;

/// A number of stroops, never a float: `0.1 + 0.2` must not decide whether an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(u64);

impl Amount {
    /// This many stroops.
    #[must_use]
    pub const fn from_stroops(stroops: u64) -> Self {
        Self(stroops)
    }

    /// The number of stroops.
    #[must_use]
    pub const fn stroops(self) -> u64 {
        self.0
    }

    /// Reads the text of a JSON number (RFC 8259 §6), such as `1e-7` or `0.314`. Negative numbers,
    /// and numbers that are not a whole number of stroops, are not amounts.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            // A few digits reach from one stroop to all Pi that exists.
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i8>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: String = [whole, fraction].concat();
        if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: u128 = digits.trim_start_matches('0').parse().ok().or_else(|| {
            // All zeros, or too many digits for an amount.
            digits.bytes().all(|byte| byte == b'0').then_some(0)
        })?;
        let decimals = DECIMALS + i32::from(exponent) - i32::try_from(fraction.len()).ok()?;
        let power = 10_u128.checked_pow(decimals.unsigned_abs())?;
        let stroops = if decimals >= 0 {
            number.checked_mul(power)?
        } else if number.is_multiple_of(power) {
            number / power
        } else {
            return None;
        };
        // D1 passes numbers to JavaScript, which is exact up to here: 900 million Pi.
        u64::try_from(stroops).ok().filter(|stroops| *stroops < 1 << 53).map(Self)
    }
}

/// Decimal text with at most seven decimals and no exponent: `3.14`.
impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / STROOPS, self.0 % STROOPS);
        if fraction == 0 {
            return write!(formatter, "{whole}");
        }
        let fraction = format!("{fraction:07}");
        write!(formatter, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::Amount;

    #[test]
    fn reads_what_pi_writes_and_nothing_that_is_no_amount() {
        for (text, stroops, shown) in [
            ("1", 10_000_000, "1"),
            ("3.14", 31_400_000, "3.14"),
            ("0.314", 3_140_000, "0.314"),
            ("1e-7", 1, "0.0000001"),
            ("1E-7", 1, "0.0000001"),
            ("1.5e+2", 1_500_000_000, "150"),
            ("100", 1_000_000_000, "100"),
            ("0", 0, "0"),
            ("0.0", 0, "0"),
            ("0.10000000000000000000", 1_000_000, "0.1"),
            ("900719925.4740991", (1 << 53) - 1, "900719925.4740991"),
        ] {
            let amount = Amount::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((amount.stroops(), amount.to_string().as_str()), (stroops, shown), "{text}");
        }
        for text in [
            "",
            "-1",
            "+1",
            "1e-8",
            "0.00000001",
            "3.14159265",
            "1e999",
            "1e-999",
            "1e12",
            "900719925.4740992",
            "NaN",
            "1,5",
            "0x1",
            " 1",
            ".5",
            "1e",
            "e1",
            "1e1.5",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }
}
