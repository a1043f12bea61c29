//! The binary `weir` as a process of its own: started, watched from outside, killed.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The binary that was built beside this program.
pub fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find the benchmark's own program")?;
    let weir = own.with_file_name("weir");
    ensure!(weir.is_file(), "{} is not there; `cargo xtask bench` builds it", weir.display());
    Ok(weir)
}

/// `weir` with these arguments, in a folder. Its log goes to a file there.
pub fn command(folder: &Path, args: &[&str]) -> Result<Command> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("weir.log"))?;
    let mut command = Command::new(binary()?);
    command.current_dir(folder).args(args).stdin(Stdio::null()).stderr(log);
    Ok(command)
}

/// Runs `weir` to its end; gives what it printed.
pub fn output(folder: &Path, args: &[&str]) -> Result<String> {
    let output = command(folder, args)?.output().context("cannot start weir")?;
    ensure!(output.status.success(), "`weir {}` failed; see {}", args.join(" "), folder.join("weir.log").display());
    Ok(String::from_utf8(output.stdout)?)
}

/// A process that is killed when it is no longer needed.
pub struct Process(Child);

impl Process {
    pub fn start(mut command: Command) -> Result<Self> {
        Ok(Self(command.spawn().context("cannot start weir")?))
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// SIGKILL, and waits until nothing of it is left.
    pub fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    /// Resident memory, MiB.
    pub fn rss_mib(&self) -> Result<f64> {
        let status = self.read("status")?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("the process has ended")?;
        let kib: f64 = line.split_whitespace().nth(1).context("VmRSS has a number")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Processor time it has used, seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.read("stat")?;
        // The name, in parentheses, may hold anything; the fields behind it are numbered from 3 (proc(5)).
        let rest = stat.rsplit_once(')').context("/proc/PID/stat is not as documented")?.1;
        let field = |number: usize| rest.split_whitespace().nth(number - 3).and_then(|ticks| ticks.parse::<f64>().ok());
        let ticks =
            field(14).zip(field(15)).map(|(user, system)| user + system).context("/proc/PID/stat is not as documented")?;
        Ok(ticks / 100.0)
    }

    /// Bytes it has caused to be written to the disk.
    pub fn written_bytes(&self) -> Result<u64> {
        let io = self.read("io")?;
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).context("/proc/PID/io is not as documented")?;
        Ok(line.trim().parse()?)
    }

    fn read(&self, what: &str) -> Result<String> {
        Ok(std::fs::read_to_string(format!("/proc/{}/{what}", self.0.id()))?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, or ended now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The committed files of a sink's folder: no dot, no underscore.
pub fn is_committed(name: &OsStr) -> bool {
    !name.as_encoded_bytes().starts_with(b".") && !name.as_encoded_bytes().starts_with(b"_")
}
