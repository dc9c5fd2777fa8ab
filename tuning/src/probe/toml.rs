//! The file that the server reads.
//!
//! The server refuses keys it does not know, so only its own keys stand there; what they were derived from stands
//! beside them as comments.

use std::fmt::Write;

use super::{DiskFigures, Figures};

pub(super) fn render(figures: &Figures) -> String {
    let mut text = String::from(
        "# Measured by `tidewire-tuning probe`. The server reads this file from its data folder, or where the key\n\
         # `tuning_file` points; the config file, variables and flags override it.\n\n",
    );
    // Writing into a String cannot fail.
    let _ = section(&mut text, figures);
    text
}

fn section(text: &mut String, figures: &Figures) -> std::fmt::Result {
    let disk = &figures.disk;
    writeln!(
        text,
        "# One 4 KiB write and fdatasync: {:.0} µs, 99th percentile {:.0} µs.",
        disk.write_sync_us, disk.write_sync_p99_us
    )?;
    writeln!(text, "# Writes in flight: {}; enough are {}", course(&disk.write), DiskFigures::depth(&disk.write))?;
    writeln!(text, "# Reads in flight: {}; enough are {}", course(&disk.read), DiskFigures::depth(&disk.read))?;
    match &figures.ring {
        Ok(ring) => {
            writeln!(text, "\n[ring]")?;
            writeln!(text, "# The deepest that could be made; a trip through it takes {:.1} µs.", ring.round_trip_us)?;
            writeln!(text, "depth = {}", ring.depth)
        }
        Err(reason) => writeln!(text, "\n# No io_uring on this host ({reason}): the server will not start here."),
    }
}

fn course(measured: &[(usize, f64)]) -> String {
    let steps: Vec<String> =
        measured.iter().map(|(depth, bytes_per_s)| format!("{depth} = {:.2} GB/s", bytes_per_s / 1e9)).collect();
    steps.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::RingFigures;
    use super::*;

    fn figures() -> Figures {
        Figures {
            disk: DiskFigures {
                write_sync_us: 131.4,
                write_sync_p99_us: 290.0,
                write: vec![(1, 1e9), (2, 1.9e9), (4, 1.95e9)],
                read: vec![(1, 0.5e9), (2, 0.9e9), (4, 1.5e9)],
            },
            ring: Ok(RingFigures { depth: 1_024, round_trip_us: 1.23 }),
        }
    }

    #[test]
    fn holds_only_keys_that_the_server_knows() {
        let text = render(&figures());
        let table: toml::Table = text.parse().unwrap();
        let keys: Vec<String> = table
            .iter()
            .flat_map(|(section, keys)| {
                let keys = keys.as_table().unwrap();
                keys.keys().map(move |key| format!("{section}.{key}")).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(keys, ["ring.depth"]);
        assert!(text.contains("enough are 2\n") && text.contains("enough are 4\n"), "{text}");
        assert!(text.contains("131 µs") && text.contains("4 = 1.95 GB/s"), "{text}");
    }

    #[test]
    fn a_host_without_rings_says_so() {
        let without = Figures { ring: Err("Operation not permitted".to_owned()), ..figures() };
        let text = render(&without);
        assert!(text.contains("Operation not permitted"));
        assert!(!text.parse::<toml::Table>().unwrap().contains_key("ring"));
    }
}
