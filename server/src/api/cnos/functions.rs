//! Names of CnosDB's functions: which of them are known there, and which one a name that is none most resembles.

/// Functions of DataFusion, in its order, which decides between equal suggestions.
const KNOWN: &str = "abs acos asin atan atan2 acosh asinh atanh cbrt ceil coalesce cos cosh degrees digest exp \
    factorial floor gcd lcm ln log log10 log2 pi power radians round signum sin sinh sqrt tan tanh trunc array_append \
    array_concat array_dims array_fill array_length array_ndims array_position array_positions array_prepend \
    array_remove array_replace array_to_string cardinality make_array trim_array ascii bit_length btrim \
    character_length chr concat concat_ws date_part date_trunc date_bin initcap left lpad lower ltrim md5 nullif \
    octet_length random regexp_replace repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512 \
    split_part starts_with strpos substr to_hex to_timestamp to_timestamp_millis to_timestamp_micros \
    to_timestamp_seconds from_unixtime now current_date current_time translate trim upper uuid regexp_match struct \
    arrow_typeof count sum min max avg median approx_distinct array_agg first_value last_value var var_pop var_samp \
    stddev stddev_pop stddev_samp covar covar_pop covar_samp corr approx_percentile_cont \
    approx_percentile_cont_with_weight approx_median grouping bit_and bit_or bit_xor bool_and bool_or";

/// More functions of CnosDB, which it does not suggest.
const KNOWN_TOO: &str = "arrow_cast substring mode increase topk bottom sample gauge_agg delta time_delta rate \
    idelta_left idelta_right first_time last_time first_val last_val state_agg compact_state_agg duration_in state_at \
    completeness consistency timeliness validity timestamp_repair value_fill value_repair exact_count st_distance \
    st_area st_equals st_contains st_intersects st_disjoint st_within st_asbinary st_geomfromwkb current_role \
    time_window_gapfill locf interpolate variance mean to_char";

/// What a name that is no function here is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// A function.
    Known,
    /// No function; the one that is suggested instead.
    Similar(&'static str),
}

/// Looks up a name that is no function here.
pub(super) fn unknown(name: &str) -> Unknown {
    if KNOWN.split_whitespace().chain(KNOWN_TOO.split_whitespace()).any(|known| known == name) {
        return Unknown::Known;
    }
    Unknown::Similar(KNOWN.split_whitespace().min_by_key(|known| edit_distance(known, name)).unwrap_or("abs"))
}

/// Levenshtein's distance, in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_those_of_the_reference() {
        for (name, suggestion) in [
            ("nosuchfn", "cosh"),
            ("named_struct", "date_trunc"),
            ("asap_smooth", "array_length"),
            ("stats_agg", "starts_with"),
            ("candlestick_agg", "coalesce"),
        ] {
            assert_eq!(unknown(name), Unknown::Similar(suggestion));
        }
    }
}
