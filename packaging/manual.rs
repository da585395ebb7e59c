//! Writes the man pages and the completions of bash, zsh and fish, made from
//! the definition of the command line, into the directory that is named; the
//! pages bear the date that is named behind it.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use rolecall::cli;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(date)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: manual DIRECTORY YYYY-MM-DD"));
    };
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut cli::definition(), "rolecall", directory)?;
    }
    let mut definition = cli::definition();
    definition.build();
    write_page(&definition, directory, &date)?;
    definition
        .get_subcommands()
        .try_for_each(|command| write_page(command, directory, &date))
}

fn write_page(command: &Command, directory: &Path, date: &str) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut page = Vec::new();
    Man::new(command.clone())
        .date(date)
        .source(concat!("rolecall ", env!("CARGO_PKG_VERSION")))
        .manual("rolecall")
        .render(&mut page)?;
    // Breaks around a list that begins a paragraph of its own anyway.
    let page = String::from_utf8_lossy(&page).replace(".br\n\n.br\n", "");
    fs::write(directory.join(format!("{name}.1")), page)
}
