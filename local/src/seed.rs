//! Tenants of any size: as people have them, or plain for measurements.

use std::collections::BTreeSet;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use shared::domain::group::MAX_GROUPS;
use shared::domain::{Group, Label, Member, Permission, Role, Status, Tenant, Time, User, role};
use shared::id::{BUILT_IN_ROLES, GroupId, Id, Kind, LabelId, MembershipId, RoleId, TenantId, UserId};
use shared::table::{Item, key};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::demo::{self, check_slug};
use crate::store::{Store, Things, record_items, tenant_items, user_items};
use crate::{Options, Result, Server, Template};

/// How many members are written before the progress is shown.
const AT_ONCE: usize = 500;

/// How many members a group has, if there are enough for so many groups.
const IN_A_GROUP: u32 = 25;

/// A tenant to make. `member1@SLUG.example` is its owner, `member2@…` is an admin, most of the others are users.
pub struct Seed<'a> {
    pub slug: &'a str,
    pub members: u32,
    /// The number in the address and the name of the owner: 1, but where the items of tenants of several sizes must be equally long.
    pub first: u32,
    /// Whether its members have names, roles and groups as people have them. Otherwise all are alike, and there are no groups.
    pub lifelike: bool,
}

impl Seed<'_> {
    /// Makes the tenant. `put` puts the items into the table.
    ///
    /// # Errors
    /// The slug is not valid or is taken, or there would be no member.
    pub async fn fill(
        &self,
        store: &Store,
        now: Time,
        progress: &ProgressBar,
        put: impl AsyncFn(Vec<Item>) -> Result<()>,
    ) -> Result<()> {
        let Seed { slug, members, first, lifelike } = *self;
        check_slug(slug)?;
        if members == 0 {
            return Err("a tenant has at least one member, its owner".to_owned().into());
        }
        if store.get(&key::slug(slug)).await?.is_some() {
            return Err(format!("there is a tenant `{slug}` already: take another slug").into());
        }
        let id = TenantId::new(store.allocate(Kind::Tenant, 1).await?);
        let first_user = store.allocate(Kind::User, members).await?;
        let first_member = store.allocate(Kind::Membership, members).await?;
        progress.set_length(u64::from(members));
        let tenant = Tenant::new(id, slug, slug, &uuid::Uuid::new_v4().to_string(), now);
        put(tenant_items(tenant, &if lifelike { self.things(now) } else { Things::default() })?).await?;
        // A core makes items while another one puts them.
        let (made, mut batches) = mpsc::channel(2);
        let maker = Maker { id, first_user, first_member, now, slug: slug.to_owned(), members, first, lifelike };
        let making = spawn_blocking(move || {
            for start in (0..members).step_by(AT_ONCE) {
                let places = start..members.min(start + AT_ONCE as u32);
                let batch = places.clone().map(|place| maker.items(place)).collect::<Result<Vec<_>>>();
                if made.blocking_send((places.len(), batch)).is_err() {
                    return;
                }
            }
        });
        while let Some((count, batch)) = batches.recv().await {
            put(batch?.into_iter().flatten().collect()).await?;
            progress.inc(count as u64);
        }
        making.await.map_err(|error| error.to_string().into())
    }

    /// Makes the tenant in the table of a folder, beside the demo tenants.
    ///
    /// # Errors
    /// The folder cannot be used, a server uses it, or as [`Seed::fill`].
    pub async fn fill_folder(
        &self,
        folder: PathBuf,
        template: &Template,
        now: Time,
        progress: &ProgressBar,
    ) -> Result<()> {
        let options = Options::new(template.clone(), PathBuf::new());
        let server = Server::start(Options { data: Some(folder), sources: false, ..options }).await?;
        let store = Store::new(&server.dynamodb_url(), template.table_name())?;
        demo::fill(&store, now).await?;
        self.fill(&store, now, progress, async |items| server.import(items)).await?;
        server.shutdown().await;
        Ok(())
    }

    /// The roles, groups and labels of the tenant.
    fn things(&self, now: Time) -> Things {
        let permission = |name: &&str| Permission { name: (*name).to_owned(), description: None, access: true };
        let role = |(number, (name, permissions)): (u32, &(&str, &[&str]))| Role {
            permissions: permissions.iter().map(permission).collect(),
            ..Role::new(RoleId::new(number), name, now)
        };
        let group = |number: u32| {
            let (area, team) = ((number - 1) as usize % AREAS.len(), (number - 1) as usize / AREAS.len() + 1);
            let confers = if area == SUPPORT { [RoleId::new(FIRST_ROLE + 1)].into() } else { BTreeSet::new() };
            Group { confers, ..Group::new(GroupId::new(number), &format!("{} {team}", AREAS[area]), now) }
        };
        let label = |(number, name): (u32, &&str)| Label::new(LabelId::new(number), name, now);
        Things {
            roles: (FIRST_ROLE..).zip(&ROLES).map(role).collect(),
            groups: (1..=groups_of(self.members)).map(group).collect(),
            labels: (1..).zip(&LABELS).map(label).collect(),
            policies: Vec::new(),
            issuers: Vec::new(),
            api_keys: Vec::new(),
            webhooks: Vec::new(),
        }
    }
}

/// How many groups a tenant of that size has.
fn groups_of(members: u32) -> u32 {
    (members / IN_A_GROUP).clamp(1, MAX_GROUPS as u32)
}

/// Makes the members of a tenant.
struct Maker {
    id: TenantId,
    first_user: u32,
    first_member: u32,
    now: Time,
    slug: String,
    members: u32,
    first: u32,
    lifelike: bool,
}

impl Maker {
    /// The items of the member at a place, and of the person.
    fn items(&self, place: u32) -> Result<Vec<Item>> {
        let (number, user) = (MembershipId::new(self.first_member + place), UserId::new(self.first_user + place));
        let nth = self.first + place;
        let email = format!("member{nth}@{}.example", self.slug);
        let role = [role::OWNER, role::ADMIN].get(place as usize).copied().unwrap_or(role::USER);
        let plain = Member {
            first_name: Some("Member".to_owned()),
            last_name: Some(nth.to_string()),
            roles: BTreeSet::from([role]),
            ..Member::new(number, self.id, user, &email, self.now)
        };
        let member = if self.lifelike { self.like_people(plain, place) } else { plain };
        let mut items = user_items(&User::new(user, &email, self.now))?;
        items.extend(record_items(self.id, &member, self.now)?);
        Ok(items)
    }

    /// The member at a place, who is the same in each tenant of this size.
    fn like_people(&self, plain: Member, place: u32) -> Member {
        let mut random = fastrand::Rng::with_seed(u64::from(place));
        let mut of = |all: &[&str]| all[random.usize(..all.len())].to_owned();
        let (first, last, language) = (of(&FIRST_NAMES), of(&LAST_NAMES), of(&LANGUAGES));
        // A primary group in the order of the members, as teams are hired, and others by chance.
        let primary = GroupId::new(place / IN_A_GROUP % groups_of(self.members) + 1);
        let others =
            (0..random.u32(..3)).map(|_| GroupId::new(random.u32(1..=groups_of(self.members)))).collect::<Vec<_>>();
        let groups: BTreeSet<GroupId> = others.into_iter().chain([primary]).collect();
        let mut roles = plain.roles.clone();
        let (is_first, percent) = (place < 2, random.u32(..100));
        if !is_first && percent < 15 {
            roles.insert(RoleId::new(FIRST_ROLE + random.u32(..ROLES.len() as u32)));
        }
        let status = match percent {
            _ if is_first => Status::Active,
            90..=95 => Status::Invited,
            96..=99 => Status::Deactivated,
            _ => Status::Active,
        };
        Member {
            first_name: Some(first),
            last_name: Some(last),
            language: Some(language),
            profession: Some(Id::new(random.u32(1..=LABELS.len() as u32))),
            manages: if place.is_multiple_of(IN_A_GROUP) { [primary].into() } else { BTreeSet::new() },
            primary_group: Some(primary),
            groups,
            roles,
            status,
            ..plain
        }
    }
}

/// A progress bar for a person who waits.
pub fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} members, {elapsed} gone, {eta} to go");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The number of the tenant's first own role.
const FIRST_ROLE: u32 = BUILT_IN_ROLES + 1;

const ROLES: [(&str, &[&str]); 6] = [
    ("billing-manager", &["billing:read", "billing:write"]),
    ("support-agent", &["ticket:read", "ticket:write", "member:read"]),
    ("auditor", &["member:read", "billing:read", "report:read"]),
    ("developer", &["build:read", "build:write", "secret:read"]),
    ("team-lead", &["member:read", "member:update-profile", "report:read"]),
    ("recruiter", &["member:read", "member:invite"]),
];

/// The place of the area whose groups confer a role.
const SUPPORT: usize = 1;

const AREAS: [&str; 12] = [
    "Engineering",
    "Support",
    "Sales",
    "Marketing",
    "Finance",
    "People",
    "Legal",
    "Design",
    "Operations",
    "Research",
    "Security",
    "Vertrieb Süd",
];

const LABELS: [&str; 12] = [
    "Engineer",
    "Designer",
    "Accountant",
    "Lawyer",
    "Recruiter",
    "Product manager",
    "Account executive",
    "Analyst",
    "Technician",
    "Team lead",
    "Intern",
    "Contractor",
];

const LANGUAGES: [&str; 8] = ["en", "de", "fr", "es", "pl", "ja", "ar", "pt"];

const FIRST_NAMES: [&str; 64] = [
    "Ada",
    "Adriana",
    "Ahmed",
    "Aisha",
    "Aleksander",
    "Amélie",
    "Ana",
    "Andreas",
    "Anja",
    "Antonio",
    "Åsa",
    "Ayşe",
    "Beatriz",
    "Björn",
    "Bruno",
    "Camila",
    "Chinedu",
    "Chloé",
    "Daniel",
    "Dario",
    "Elif",
    "Emma",
    "Erik",
    "Fatima",
    "Felix",
    "Gabriela",
    "Giulia",
    "Hannah",
    "Haruto",
    "Hugo",
    "Ingrid",
    "Isabel",
    "Ivan",
    "Jan",
    "Jiří",
    "Johanna",
    "José",
    "Kaan",
    "Karolina",
    "Kenji",
    "Lars",
    "Leila",
    "Lucía",
    "Magnus",
    "Mai",
    "Mariam",
    "Marie-Claire",
    "Mateo",
    "Mei",
    "Mohammed",
    "Nadia",
    "Ngozi",
    "Nils",
    "Olga",
    "Óscar",
    "Paweł",
    "Priya",
    "Rafael",
    "Saoirse",
    "Søren",
    "Tomás",
    "Uma",
    "Yuki",
    "Zoë",
];

const LAST_NAMES: [&str; 64] = [
    "Adeyemi",
    "Almeida",
    "Andersson",
    "Bauer",
    "Berg",
    "Björklund",
    "Castro",
    "Čapek",
    "Chen",
    "Costa",
    "Da Silva",
    "Demir",
    "Dubois",
    "Eriksen",
    "Fernández",
    "Ferrari",
    "Fischer",
    "García",
    "Gómez",
    "Gonçalves",
    "Haddad",
    "Hansen",
    "Horváth",
    "Ibrahim",
    "Ito",
    "Ivanova",
    "Jensen",
    "Johansson",
    "Kaya",
    "Khan",
    "Kim",
    "Kowalska",
    "Krüger",
    "Le Goff",
    "Lehmann",
    "López",
    "Martin",
    "Meyer",
    "Møller",
    "Müller",
    "Nakamura",
    "Ndiaye",
    "Nguyễn",
    "Novák",
    "O’Brien",
    "Okafor",
    "Øverland",
    "Patel",
    "Pereira",
    "Petrov",
    "Rossi",
    "Sánchez",
    "Sato",
    "Schröder",
    "Singh",
    "Smith",
    "Śliwińska",
    "Tanaka",
    "Van den Berg",
    "Vargas",
    "Wagner",
    "Wójcik",
    "Yılmaz",
    "Zhang",
];
