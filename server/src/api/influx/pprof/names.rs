//! From addresses to the names of what stands there.

use std::collections::HashMap;
use std::ptr;

use tidewire_protocol::encode::pprof::{Frame, Line};

/// Finds names, each address once. The debug information that it has read goes with it.
#[derive(Default)]
pub(super) struct Names(HashMap<usize, Frame>);

impl Names {
    /// The frame whose call returns to an address: what is looked up is what stands before it.
    pub(super) fn frame(&mut self, address: usize) -> Frame {
        self.0.entry(address).or_insert_with(|| look_up(address)).clone()
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        backtrace::clear_symbol_cache();
    }
}

fn look_up(address: usize) -> Frame {
    let mut lines = Vec::new();
    backtrace::resolve(ptr::without_provenance_mut(address), |symbol| {
        let file = symbol.filename().map(|file| file.display().to_string()).unwrap_or_default();
        // Without the hash that the compiler puts behind a name.
        let function = match symbol.name().map(|name| format!("{name:#}")) {
            Some(name) => format!("{}{name}", module(&file, &name)),
            None => format!("{address:#x}"),
        };
        lines.push(Line { function, file, line: symbol.lineno().unwrap_or(0) });
    });
    if lines.is_empty() {
        lines.push(Line::named(format!("{address:#x}")));
    }
    Frame { address: address as u64, lines }
}

/// What to put before a function's name. Debug information of line tables alone has it without its module, of which
/// there are many with a `poll` or a `new`: then the file says which it is.
fn module(file: &str, name: &str) -> String {
    let path = name.split('<').next().unwrap_or(name);
    let Some((folder, within)) = file.rsplit_once("/src/").filter(|_| !path.contains("::")) else {
        return String::new();
    };
    let package = folder.rsplit('/').next().unwrap_or(folder);
    let within = within.strip_suffix(".rs").unwrap_or(within);
    let within = within.strip_suffix("/mod").or(within.strip_suffix("lib")).unwrap_or(within);
    let mut module = format!("{package}::{}", within.replace('/', "::"));
    if !module.ends_with("::") {
        module.push_str("::");
    }
    module
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_ours_has_its_name_and_nothing_at_all_its_address() {
        let mut names = Names::default();
        let address = look_up as fn(usize) -> Frame as usize;
        let frame = names.frame(address + 1);
        let is_known = |line: &Line| line.function.ends_with("::influx::pprof::names::look_up");
        assert!(frame.lines.iter().any(is_known), "{frame:?}");
        assert!(frame.lines.iter().any(|line| line.file.ends_with("names.rs") && line.line > 0), "{frame:?}");
        for (file, name, expected) in [
            ("/w/server/src/ring/mod.rs", "poll", "server::ring::"),
            ("/w/server/src/ring/task.rs", "poll<a::B>", "server::ring::task::"),
            ("/c/memchr-2.8.3/src/lib.rs", "find", "memchr-2.8.3::"),
            ("/w/server/src/ring/mod.rs", "tidewire_server::ring::poll", ""),
            ("", "poll", ""),
        ] {
            assert_eq!(module(file, name), expected, "{file} {name}");
        }
        assert_eq!(names.frame(1), Frame { address: 1, lines: vec![Line::named("0x1")] });
    }
}
