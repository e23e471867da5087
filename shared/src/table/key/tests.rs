use super::*;

#[test]
fn keys_are_those_of_the_chart() {
    let acme = TenantKeys(TenantId::new(1));
    let user = UserId::new(42);
    let shown = |key: Key| format!("{} | {}", key.pk, key.sk);
    assert_eq!(shown(acme.tenant()), "TENANT#1 | TENANT");
    assert_eq!(shown(acme.role(RoleId::new(7))), "TENANT#1 | CATALOG#ROLE#7");
    assert_eq!(shown(acme.standing(GroupId::new(2))), "TENANT#1 | CATALOG#GROUP#2");
    assert_eq!(shown(acme.group(GroupId::new(2))), "TENANT#1 | GROUP#0000000002");
    assert_eq!(shown(acme.label(LabelId::new(3))), "TENANT#1 | LABEL#0000000003");
    let job = acme.job(JobId::new(5));
    assert_eq!(
        (shown(job.clone()).as_str(), job_at(&job)),
        ("TENANT#1 | JOB#0000000005", Some((acme.0, JobId::new(5))))
    );
    let since = Time::from_millis(1_705_308_300_000);
    assert_eq!(shown(acme.unfinished(JobId::new(5), since)), "JOBS | 2024-01-15T08:45:00.000Z#1#5");
    let name = acme.name("group", "Ünit A");
    assert_eq!((&*name.pk, name.sk.split_once('#').unwrap().0), ("TENANT#1#GROUP-NAMES", "unit a "));
    assert_eq!(shown(acme.external_id("role", "x")).split(" | ").next(), Some("TENANT#1#EXTERNAL#ROLE#x"));
    assert_eq!(shown(acme.of_user(user)), "USER#42 | TENANT#0000000001");
    assert_eq!(person("Ann@acme.example").pk, "PERSON#ann@acme.example");
    assert_eq!(shown(acme.member(user)), "TENANT#1 | MEMBER#0000000042");
    assert_eq!(shown(acme.picture(user)), "TENANT#1 | PICTURE#0000000042");
    assert_eq!(shown(acme.holder(RoleId::new(7), user)), "TENANT#1#ROLE#7 | MEMBER#0000000042");
    assert_eq!(shown(acme.in_group(GroupId::new(2), user)), "TENANT#1#GROUP#2 | MEMBER#0000000042");
    assert_eq!(shown(acme.event(&Subject::new("member", user), 7)), "TENANT#1#MEMBER#42 | EVENT#0000000007");
    assert_eq!(shown(acme.event(&Subject::new("role", 7), 3)), "TENANT#1#ROLE#7 | EVENT#0000000003");
    assert_eq!(
        shown(acme.happened(Time::from_millis(1_705_308_300_000), &Subject::new("member", user), 7)),
        "TENANT#1#EVENTS | 2024-01-15T08:45:00.000Z#MEMBER#42#7"
    );
    assert_eq!(shown(acme.email("Ann@acme.example")), "TENANT#1#EMAILS | ann@acme.example");
    assert_eq!(shown(acme.listed("Ann Lee", user)), "TENANT#1#MEMBERS | ann lee #42");
    let long = acme.listed(&"漢".repeat(501), user).sk;
    assert_eq!((long.len(), long.as_str()), (1024, format!("{} #42", "漢".repeat(340)).as_str()));
    assert_eq!(acme.listed("Åsa Ünal", user).sk, "asa unal #42");
    assert_eq!(acme.member(user).fence(3).pk, "TENANT#1#FENCE#MEMBER#0000000042#3");
    assert_eq!(counter(Kind::User).sk, "COUNTER#USER");
    assert_eq!(acme.email("A@b.example"), acme.email("a@B.example"));
}

#[test]
fn lists_sort_without_regard_to_case_and_accents() {
    let acme = TenantKeys(TenantId::new(1));
    let mut names = ["Zoë", "ann lee", "Ann", "Émile", "eva", "Annie", "Straße"];
    names.sort_by_key(|name| acme.listed(name, UserId::new(7)).sk);
    assert_eq!(names, ["Ann", "ann lee", "Annie", "Émile", "eva", "Straße", "Zoë"]);
    let long = "한".repeat(250);
    for (name, beginning) in
        [("Émile", "EM"), ("Ann Lee", "ann l"), ("Zoë", "zoe"), ("ﬁne", "fin"), (&long, &long), (&long, &long[..600])]
    {
        assert!(acme.listed(name, UserId::new(7)).sk.starts_with(&acme.listed_from(beginning).sk), "{name}");
    }
    assert_eq!(TenantKeys::number_of(&acme.member(UserId::new(420)).sk), Some(UserId::new(420)));
    for none in ["MEMBER#", "MEMBER#0", "PICTURE#0000000042", "x#1", ""] {
        assert_eq!(TenantKeys::number_of(none), None, "{none}");
    }
}

#[test]
fn a_key_with_any_text_in_it_fits_and_differs_from_others() {
    let (acme, last) = (TenantKeys(TenantId::new(i32::MAX as u32)), UserId::new(i32::MAX as u32));
    // Of one to four bytes a character, and one that is longer in lower case.
    for character in ["a", "Ä", "漢", "🦀", "İ"] {
        for length in [1, 250, 501, 1024, 5000] {
            let (text, other) = (character.repeat(length), character.repeat(length) + "b");
            let of = |text: &str| {
                [
                    acme.email(text),
                    acme.name("group", text),
                    acme.external_id("group", text),
                    person(text),
                    acme.idempotency("2147483647", text),
                    slug(text),
                ]
            };
            for (key, other) in of(&text).into_iter().zip(of(&other)) {
                assert!(key.pk.len() <= SORT_KEY && key.sk.len() <= SORT_KEY, "{key:?}");
                assert_ne!(key, other);
            }
            let identity = acme.identity_of(last, "https://issuer.example", &text);
            assert!(identity.sk.len() <= SORT_KEY && identity.sk.starts_with(&acme.identities_of(last).sk));
            let listed = acme.listed(&text, last);
            let name = listed.sk.strip_suffix(" #2147483647").expect("the number is whole");
            assert!(listed.sk.len() <= SORT_KEY && folded(&text).starts_with(name), "{listed:?}");
            assert!(name.len() == folded(&text).len() || listed.sk.len() > SORT_KEY - 4, "{listed:?}");
            assert_eq!(TenantKeys::number_listed(&listed.sk), Some(last));
        }
    }
}

#[test]
fn case_and_accents_make_no_difference() {
    for (one, other) in [("ÉCOLE", "ecole"), ("ΟΔΟΣ", "οδος"), ("Γιώργος", "ΓΙΩΡΓΟΣ"), ("İ", "i")]
    {
        assert_eq!(folded(one), folded(other), "{one}");
    }
    assert_ne!(folded("a"), folded("b"));
}
