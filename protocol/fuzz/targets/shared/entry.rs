//! How a target is entered: under libFuzzer where `.ci/fuzz` builds it, and everywhere else as a program that hands the
//! files named on its command line to the target, with a test that does so with the corpus in the repository.

/// Makes a program and a test of a closure that takes `&[u8]`.
macro_rules! target {
    (|$data:ident| $body:block) => {
        fn run($data: &[u8]) $body

        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            std::env::args_os().skip(1).try_for_each(|path| std::fs::read(path).map(|data| run(&data)))
        }

        #[cfg(test)]
        #[test]
        fn the_corpus_is_read() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/", env!("CARGO_CRATE_NAME"));
            let mut files = 0;
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                eprintln!("{}", path.display());
                run(&std::fs::read(path).unwrap());
                files += 1;
            }
            assert!(files > 0, "{folder} is empty");
        }
    };
}

pub(crate) use target;
