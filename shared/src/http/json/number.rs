//! The numbers of a JSON text, read exactly.
//!
//! In JSON a number without a fraction is an integer, however it is written. serde_json reads `1.0` as a float, rounds it, and
//! refuses `1e400`. So this code finds such numbers first and reads them itself. (The feature `arbitrary_precision` of
//! serde_json would keep the numbers of all our dependencies as text, and would take an object with a certain key for a number.)

use std::ops::Range;

use serde_json::Value;

/// The numbers that serde_json would read as floats: their places and their values.
pub fn floats(text: &[u8]) -> Vec<(Range<usize>, Value)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let rest = &text[at..];
        at += match byte {
            b'"' => 1 + length_of_string(&rest[1..]),
            b'-' | b'0'..=b'9' => {
                let part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let length = rest.iter().take_while(part).count();
                let number = std::str::from_utf8(&rest[..length]).ok().and_then(float);
                found.extend(number.map(|number| (at..at + length, number)));
                length
            }
            _ => 1,
        };
    }
    found
}

/// The length of the rest of a string, including the closing quote.
fn length_of_string(rest: &[u8]) -> usize {
    let mut escaped = false;
    let end = rest.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |end| end + 1)
}

/// The value of a number that serde_json would read as a float; `None` for any other text.
fn float(text: &str) -> Option<Value> {
    if text != "-0" && (text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()) {
        return None;
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let no_zeros_before = whole == "0" || !whole.starts_with('0');
    let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if ![whole, fraction, power].into_iter().all(is_number) || !no_zeros_before {
        return None;
    }
    let overflow = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    let exponent: i64 = exponent.parse().unwrap_or(overflow);

    // The number is `significant` times ten to the power of `exponent`.
    let all = [whole, fraction].concat();
    let significant = all.trim_end_matches('0');
    let exponent =
        exponent.saturating_add((all.len() - significant.len()) as i64).saturating_sub(fraction.len() as i64);
    let significant = significant.trim_start_matches('0');
    Some(match usize::try_from(exponent) {
        _ if significant.is_empty() => 0.into(),
        Err(_) => 0.5.into(),
        // An `i64` has at most 19 digits.
        Ok(zeros @ ..19) => {
            format!("{sign}{significant}{}", "0".repeat(zeros)).parse().unwrap_or(too_large(sign)).into()
        }
        Ok(_) => too_large(sign).into(),
    })
}

fn too_large(sign: &str) -> i64 {
    if sign.is_empty() { i64::MAX } else { i64::MIN }
}
