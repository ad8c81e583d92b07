//! Help for a name that is not known.

/// `did you mean "near"?`, or the known names when none is near.
pub(crate) fn suggestion<'a>(wrong: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(wrong, known.clone()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => known_names(known),
    }
}

/// The known name at the least edit distance, if a third of it or less is different.
pub(crate) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any known name; its distance would only cost time.
    const WRONG_LEN_MAX: usize = 128;
    if wrong.len() > WRONG_LEN_MAX {
        return None;
    }
    let wrong = wrong.to_lowercase();
    known
        .map(|name| (strsim::damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3) && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The names there are to choose from.
pub(crate) fn known_names<'a>(known: impl Iterator<Item = &'a str>) -> String {
    const LISTED_MAX: usize = 40;
    let mut names: Vec<_> = known.take(LISTED_MAX + 1).map(|name| format!("\"{name}\"")).collect();
    if names.len() > LISTED_MAX {
        names[LISTED_MAX] = "and more".to_owned();
    }
    match names.as_slice() {
        [] => "there is none to choose from yet".to_owned(),
        [only] => format!("the only known name is {only}"),
        _ => format!("known names: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_listed() {
        let known = ["bind", "tls", "route"];
        assert_eq!(suggestion("rotue", known.into_iter()), "did you mean \"route\"?");
        assert_eq!(suggestion("Bind", known.into_iter()), "did you mean \"bind\"?");
        assert_eq!(suggestion("zebra", known.into_iter()), "known names: \"bind\", \"tls\", \"route\"");
        assert_eq!(suggestion("x", [].into_iter()), "there is none to choose from yet");
    }
}
