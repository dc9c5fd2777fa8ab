//! The binary `tidewire`: reads the configuration, starts the server, ends it on a signal; or runs a tool.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tidewire_base::cli::{Arguments, Command};
use tidewire_base::config::{self, Config, Loaded};
use tidewire_server::app::Tidewire;
use tidewire_server::journal::server::start_log;
use tidewire_server::runtime::launch::{first_steps, launch};
use tidewire_tool::export::Exported;

/// An export has left out what cannot be read.
const EXIT_PARTLY: u8 = 3;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::CheckConfig { file }) => check_config(file),
        Some(Command::ExampleConfig) => {
            say(&Config::example());
            Ok(())
        }
        Some(Command::Inspect(arguments)) => tidewire_tool::inspect::run(arguments, &mut std::io::stdout().lock()),
        Some(Command::Backup(arguments)) => tidewire_tool::backup::run(arguments, &mut std::io::stdout().lock()),
        Some(Command::Restore(arguments)) => tidewire_tool::restore::run(arguments, &mut std::io::stdout().lock()),
        Some(Command::Repair(arguments)) => tidewire_tool::repair::run(arguments, &mut say),
        Some(Command::Reshard(arguments)) => tidewire_tool::reshard::run(arguments),
        Some(Command::Export(arguments)) => match tidewire_tool::export::run(arguments) {
            Ok(Exported::Whole) => Ok(()),
            Ok(Exported::Partly) => return ExitCode::from(EXIT_PARTLY),
            Err(reason) => Err(reason),
        },
        Some(Command::Import(arguments)) => tidewire_tool::import::run(arguments),
        None => serve(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("tidewire: {reason}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "what the user asked for goes to standard output")]
fn say(text: &str) {
    print!("{text}");
}

fn check_config(file: &std::path::Path) -> Result<(), String> {
    let loaded = config::load(Some(file), &[], &[]).map_err(|error| error.to_string())?;
    say(&format!("{}: good; data in {}\n", file.display(), loaded.config.data_dir.display()));
    Ok(())
}

fn serve(arguments: &Arguments) -> Result<(), String> {
    let file = arguments.config.clone().or_else(|| std::env::var_os("TIDEWIRE_CONFIG").map(PathBuf::from));
    let from = file.as_ref().map_or("no file".to_owned(), |path| path.display().to_string());
    let settings = arguments.settings();
    let read = move || {
        let variables = config::environment()?;
        config::load(file.as_deref(), &variables, &settings)
    };
    let Loaded { config, warnings } = read().map_err(|error| error.to_string())?;
    start_log(config.log.level, config.log.format);
    log::info!("Tidewire {} starts; configuration: {from}", env!("CARGO_PKG_VERSION"));
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    let read_again = move || Ok(read().map_err(|error| error.to_string())?.config);
    launch::<Tidewire>(config, &Arc::default(), read_again, |urls| say(&first_steps(urls)))
}
