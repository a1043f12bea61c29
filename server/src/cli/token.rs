//! `weir token`: API tokens for machines.

use super::workspace::{Workspace, refusal};
use super::{DataArg, Outcome, ProjectArg, output};
use clap::{Args, Subcommand};
use weir_api::{CreateToken, PageQuery, TokenId};
use weir_service::tokens;

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; the JWT goes to standard output and is kept nowhere
    Create(CreateArgs),
    /// List the tokens of a project
    List(ListArgs),
    /// Revoke a token at once
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What it is for
    name: String,
    /// The user on whose behalf it acts; it never may more than they
    #[arg(long, value_name = "USER")]
    user: String,
    /// An action such as `pipeline.deploy`, or a kind such as `pipeline.*`; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// How long it is good for, such as 90s, 30m, 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    expires_in: u64,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
    /// Print the token with what is known of it as one JSON object
    #[arg(long)]
    json: bool,
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
pub struct RevokeArgs {
    /// The token's id, as `list` prints it
    id: TokenId,
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    project: ProjectArg,
}

pub async fn run(command: TokenCommand) -> Outcome {
    match command {
        TokenCommand::Create(args) => create(args).await,
        TokenCommand::List(args) => list(args).await,
        TokenCommand::Revoke(args) => revoke(args).await,
    }
}

async fn create(args: CreateArgs) -> Outcome {
    let workspace = Workspace::open(&args.data).await?;
    let cx = workspace.acting_as(&args.user, &args.project.project).await?;
    let request = CreateToken { name: args.name, scopes: args.scopes, expires_in_seconds: Some(args.expires_in) };
    let made = tokens::create(&cx, request).await.map_err(refusal)?;
    workspace.close().await?;
    if args.json {
        output::json(&made)?;
    } else {
        output::note(format_args!("token {}, good until {}", made.token.id, made.token.expires_at.to_rfc3339()));
        output::line(made.jwt.expose());
    }
    Ok(())
}

async fn list(args: ListArgs) -> Outcome {
    let workspace = Workspace::open(&args.data).await?;
    let cx = workspace.operator_in(&args.project.project).await?;
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = tokens::list(&cx, PageQuery { after, limit: Some(PageQuery::MAX_LIMIT) }).await.map_err(refusal)?;
        found.extend(page.items);
        after = page.next.map(|cursor| cursor.0);
        if after.is_none() {
            break;
        }
    }
    workspace.close().await?;
    if args.json {
        found.iter().try_for_each(output::json)?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|token| {
            let state = match token.revoked_at {
                Some(at) => format!("revoked {}", at.to_rfc3339()),
                None => format!("until {}", token.expires_at.to_rfc3339()),
            };
            vec![token.id.to_string(), token.name.clone(), token.user.name.clone(), token.scopes.join(","), state]
        })
        .collect();
    output::table(&["ID", "NAME", "USER", "SCOPES", "GOOD"], &rows);
    Ok(())
}

async fn revoke(args: RevokeArgs) -> Outcome {
    let workspace = Workspace::open(&args.data).await?;
    let cx = workspace.operator_in(&args.project.project).await?;
    tokens::revoke(&cx, args.id).await.map_err(refusal)?;
    workspace.close().await
}

/// `90s`, `30m`, `12h`, `7d` in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a time such as 90s, 30m, 12h or 7d");
    let split = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(wrong)?;
    let unit = match &text[split..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    text[..split].parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_carry_their_unit() {
        let cases = [
            ("90s", Some(90)),
            ("30m", Some(1_800)),
            ("12h", Some(43_200)),
            ("7d", Some(604_800)),
            ("7", None),
            ("", None),
            ("x9h", None),
            ("9ü", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text).ok(), expected, "{text:?}");
        }
    }
}
