//! `weir user`: who may sign in, and with which roles.

use super::workspace::{Workspace, refusal};
use super::{DataArg, Failure, Outcome, ProjectArg, output};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::{BufRead, IsTerminal};
use weir_api::{CreateUser, Member, PageQuery, Role, Secret, SetMember, SetPassword};
use weir_service::{Cx, members, users};

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user to a project; without --password-stdin a random password is made and printed once
    Add(AddArgs),
    /// List the members of a project
    List(ListArgs),
    /// Give a user a new password; all their sessions end, their API tokens stay good unless --revoke-tokens is given
    Passwd(PasswdArgs),
    /// Set the roles of a user in a project; none removes them from it
    Role(RoleArgs),
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// The sign-in name
    name: String,
    /// A role: admin, engineer, steward, compliance, approver or viewer; may be repeated
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<Role>,
    /// The name for people
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct PasswdArgs {
    /// The sign-in name
    name: String,
    /// Revoke the user's API tokens as well
    #[arg(long)]
    revoke_tokens: bool,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
}

#[derive(Debug, Args)]
pub struct RoleArgs {
    /// The sign-in name
    name: String,
    /// The roles from now on
    roles: Vec<Role>,
    /// A role from now on, as `weir user add` takes it; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    named: Vec<Role>,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
}

pub async fn run(command: UserCommand) -> Outcome {
    match command {
        UserCommand::Add(args) => add(args).await,
        UserCommand::List(args) => list(args).await,
        UserCommand::Passwd(args) => passwd(args).await,
        UserCommand::Role(args) => role(args).await,
    }
}

async fn add(args: AddArgs) -> Outcome {
    let password = args.password_stdin.then(password_from_stdin).transpose()?;
    let workspace = Workspace::open(&args.data).await?;
    let cx = workspace.operator_in(&args.project.project).await?;
    let request = CreateUser { name: args.name, display_name: args.display_name, password, roles: args.roles };
    let made = users::create(&cx, request).await.map_err(refusal)?;
    workspace.close().await?;
    output::note(format_args!("{} may sign in now", made.member.user.name));
    print_once(made.password.as_ref());
    Ok(())
}

async fn list(args: ListArgs) -> Outcome {
    let workspace = Workspace::open(&args.data).await?;
    let cx = workspace.operator_in(&args.project.project).await?;
    let found = all_members(&cx).await?;
    workspace.close().await?;
    if args.json {
        found.iter().try_for_each(output::json)?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|member| {
            let roles: Vec<&str> = member.roles.iter().map(|role| role.as_str()).collect();
            let state = match (member.user.disabled, member.user.locked_until) {
                (true, _) => "disabled".to_owned(),
                (false, Some(until)) => format!("locked until {}", until.to_rfc3339()),
                (false, None) => "active".to_owned(),
            };
            vec![member.user.name.clone(), roles.join(","), state, member.user.id.to_string()]
        })
        .collect();
    output::table(&["NAME", "ROLES", "STATE", "ID"], &rows);
    Ok(())
}

async fn passwd(args: PasswdArgs) -> Outcome {
    let password = args.password_stdin.then(password_from_stdin).transpose()?;
    let workspace = Workspace::open(&args.data).await?;
    let user = workspace.user(&args.name).await?;
    let made =
        users::set_password(&workspace.operator().await?, user.id, SetPassword { password, revoke_tokens: args.revoke_tokens })
            .await
            .map_err(refusal)?;
    workspace.close().await?;
    output::note(format_args!("{} has a new password; all their sessions ended", args.name));
    print_once(made.as_ref());
    Ok(())
}

async fn role(args: RoleArgs) -> Outcome {
    let workspace = Workspace::open(&args.data).await?;
    let cx = workspace.operator_in(&args.project.project).await?;
    let user = workspace.user(&args.name).await?;
    let roles = args.roles.into_iter().chain(args.named).collect();
    let member = members::set(&cx, user.id, SetMember { roles }).await.map_err(refusal)?;
    workspace.close().await?;
    match member {
        Some(member) => {
            let roles: Vec<&str> = member.roles.iter().map(|role| role.as_str()).collect();
            output::note(format_args!("{} is {} in {}", args.name, roles.join(", "), args.project.project));
        }
        None => output::note(format_args!("{} is no longer a member of {}", args.name, args.project.project)),
    }
    Ok(())
}

async fn all_members(cx: &Cx) -> Result<Vec<Member>, Failure> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = members::list(cx, PageQuery { after, limit: Some(PageQuery::MAX_LIMIT) }).await.map_err(refusal)?;
        found.extend(page.items);
        match page.next {
            Some(cursor) => after = Some(cursor.0),
            None => return Ok(found),
        }
    }
}

/// A password that was made for somebody: alone on standard output, so that a script can take it.
fn print_once(password: Option<&Secret>) {
    if let Some(password) = password {
        output::line(password.expose());
    }
}

fn password_from_stdin() -> Result<Secret, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(Failure::usage("--password-stdin reads a pipe or a file, so that the password is not shown while typed"));
    }
    let mut line = String::new();
    input.lock().read_line(&mut line).context("cannot read the password from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::usage("standard input holds no password"));
    }
    Ok(Secret::new(password))
}
