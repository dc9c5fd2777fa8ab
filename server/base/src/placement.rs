//! Which processors the server uses, and which of them owns which shard.

use std::fmt;
use std::str::FromStr;

/// The processors asked for: `all`, a count, or a list of their numbers such as `0,2-3`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cores {
    /// Every processor this process may run on.
    #[default]
    All,
    /// As many, from the first on.
    Count(usize),
    /// Exactly these.
    List(Vec<usize>),
}

/// Most cores one server uses; the queues between cores grow with the square.
pub const CORES_MAX: usize = 256;

impl FromStr for Cores {
    type Err = String;

    /// A single number is a count; a list has a comma or a dash (`3,` is the list of processor 3 alone).
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "all" {
            return Ok(Self::All);
        }
        let number = |part: &str| -> Result<usize, String> {
            part.trim().parse().map_err(|_| format!("`{}` is not a processor number", part.trim()))
        };
        if !text.contains([',', '-']) {
            return match number(text).map_err(|_| format!("`{text}` is not `all`, a count or a list like `0,2-3`"))? {
                count @ 1..=CORES_MAX => Ok(Self::Count(count)),
                _ => Err(format!("a count of cores is between 1 and {CORES_MAX}")),
            };
        }
        let mut list = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if last < first || last - first >= CORES_MAX {
                return Err(format!("`{}` is not a range of at most {CORES_MAX} processors", part.trim()));
            }
            for cpu in first..=last {
                if list.contains(&cpu) {
                    return Err(format!("processor {cpu} is named twice"));
                }
                list.push(cpu);
            }
        }
        match list.len() {
            1..=CORES_MAX => Ok(Self::List(list)),
            _ => Err(format!("a list of cores names between 1 and {CORES_MAX} processors")),
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Count(count) => write!(f, "{count}"),
            Self::List(list) => {
                for cpu in list {
                    write!(f, "{cpu},")?;
                }
                Ok(())
            }
        }
    }
}

/// Processors this process may run on, ascending.
pub fn available() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Chooses the processors that are asked for out of those `available`.
pub fn place(wanted: &Cores, available: &[usize]) -> Result<Vec<usize>, String> {
    let chosen = match wanted {
        Cores::All => available.iter().copied().take(CORES_MAX).collect(),
        Cores::Count(count) if *count > available.len() => {
            return Err(format!("{count} cores are wanted but this process may run on {} only", available.len()));
        }
        Cores::Count(count) => available[..*count].to_vec(),
        Cores::List(list) => {
            if let Some(cpu) = list.iter().find(|cpu| !available.contains(cpu)) {
                return Err(format!("processor {cpu} is not among those this process may run on {available:?}"));
            }
            list.clone()
        }
    };
    if chosen.is_empty() { Err("this process may not run on any processor".to_owned()) } else { Ok(chosen) }
}

/// The core (by position, not processor number) that owns a shard.
pub fn core_of_shard(shard: usize, cores: usize) -> usize {
    shard % cores
}

/// The shards that a core owns.
pub fn shards_of_core(core: usize, cores: usize, shards: usize) -> impl Iterator<Item = usize> {
    (core..shards).step_by(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_read_and_print() {
        for (text, cores) in [
            ("all", Cores::All),
            ("2", Cores::Count(2)),
            ("0,2-4", Cores::List(vec![0, 2, 3, 4])),
            ("3,", Cores::List(vec![3])),
        ] {
            assert_eq!(text.parse(), Ok(cores.clone()));
            assert_eq!(cores.to_string().parse(), Ok(cores));
        }
        for text in ["", "0", "two", "1,1", "4-2", "0-100000", ",", "-1", "257"] {
            assert!(text.parse::<Cores>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn places_what_is_there() {
        assert_eq!(place(&Cores::All, &[0, 1]), Ok(vec![0, 1]));
        assert_eq!(place(&Cores::Count(1), &[4, 5]), Ok(vec![4]));
        assert_eq!(place(&Cores::List(vec![5]), &[4, 5]), Ok(vec![5]));
        assert!(place(&Cores::Count(3), &[0, 1]).is_err());
        assert!(place(&Cores::List(vec![2]), &[0, 1]).is_err());
        assert!(place(&Cores::All, &[]).is_err());
    }

    #[test]
    fn every_shard_has_one_core() {
        for cores in 1..5 {
            for shards in 0..9 {
                let mut owners = vec![0; shards];
                for core in 0..cores {
                    for shard in shards_of_core(core, cores, shards) {
                        assert_eq!(core_of_shard(shard, cores), core);
                        owners[shard] += 1;
                    }
                }
                assert!(owners.iter().all(|count| *count == 1));
            }
        }
    }
}
