//! A data folder opened for administration: whoever may read its keys is its operator.

use super::{DataArg, Failure, output};
use crate::instance;
use std::sync::Arc;
use weir_api::{PageQuery, Slug, User};
use weir_service::{Cx, Services, bootstrap, operator};

/// An opened data folder.
pub struct Workspace {
    services: Arc<Services>,
}

impl Workspace {
    /// Opens a data folder that exists; a misspelt one must not become a new one.
    pub async fn open(data: &DataArg) -> Result<Self, Failure> {
        if !data.data.join(instance::DATABASE).is_file() {
            let folder = data.data.display();
            return Err(Failure::usage(format!(
                "there is no Weir data in {folder}; name the folder with --data, or make one with `weir serve --data {folder}`"
            )));
        }
        Ok(Self { services: instance::open(&data.data).await? })
    }

    /// Opens a data folder, or makes a new one with its project as `weir run` does: for what may come before the first run.
    pub async fn open_or_make(data: &DataArg) -> Result<Self, Failure> {
        let is_new = !data.data.join(instance::DATABASE).is_file();
        let services = instance::open(&data.data).await?;
        bootstrap::first_start(&services).await.map_err(refusal)?;
        if is_new {
            output::note(format_args!("note: {} is a new data folder", data.data.display()));
        }
        Ok(Self { services })
    }

    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// The operator of this machine, in no project.
    pub async fn operator(&self) -> Result<Cx, Failure> {
        operator::context(&self.services).await.map_err(refusal)
    }

    /// The operator of this machine in a project.
    pub async fn operator_in(&self, project: &str) -> Result<Cx, Failure> {
        in_project(&self.operator().await?, project).await
    }

    /// The user of this sign-in name.
    pub async fn user(&self, name: &str) -> Result<User, Failure> {
        let cx = self.operator().await?;
        let mut after = None;
        loop {
            let query = PageQuery { after, limit: Some(PageQuery::MAX_LIMIT) };
            let page = weir_service::users::list(&cx, query).await.map_err(refusal)?;
            if let Some(user) = page.items.into_iter().find(|user| user.name == name) {
                return Ok(user);
            }
            match page.next {
                Some(cursor) => after = Some(cursor.0),
                None => return Err(Failure::usage(format!("there is no user `{name}`; see `weir user list`"))),
            }
        }
    }

    /// A user's own context in a project, for what is done on their behalf.
    pub async fn acting_as(&self, name: &str, project: &str) -> Result<Cx, Failure> {
        let user = self.user(name).await?;
        let cx = operator::on_behalf_of(&self.services, user.id).await.map_err(refusal)?;
        in_project(&cx, project).await
    }

    /// Signs what was done, so that it is proved from now on, and closes the database.
    pub async fn close(self) -> Result<(), Failure> {
        weir_service::heads::sign(&self.services).await.map_err(refusal)?;
        Ok(())
    }
}

async fn in_project(cx: &Cx, project: &str) -> Result<Cx, Failure> {
    let slug = Slug::new(project).map_err(|error| Failure::usage(format!("project `{project}`: {error}")))?;
    cx.in_project(&slug).await.map_err(|error| match error {
        weir_service::Error::NotFound { .. } => Failure::usage(format!("there is no project `{project}`, or it is not theirs")),
        other => refusal(other),
    })
}

/// A use case's error as the command line says it: its message and its single findings.
pub fn refusal(error: weir_service::Error) -> Failure {
    use weir_service::Error;
    match error {
        Error::Internal(cause) => Failure::Failed(anyhow::anyhow!(cause)),
        Error::Invalid(fields) => {
            let list: Vec<String> = fields.iter().map(|f| format!("{}: {}", f.field, f.message)).collect();
            Failure::usage(list.join("\n       "))
        }
        Error::Document(findings) => {
            let list: Vec<String> = findings.iter().map(|finding| finding.render("document")).collect();
            Failure::usage(list.join("\n"))
        }
        other => Failure::Failed(anyhow::anyhow!("{other}")),
    }
}
