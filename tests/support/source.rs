//! Rust as far as the house rules need it: the code of a file without its
//! comments, its texts and its tests, and the modules that it names.

/// The code alone: comments are blanks, texts are underscores, tests are gone.
/// Lines keep their numbers.
pub(crate) fn code(text: &str) -> String {
    without_tests(&without_texts(text))
}

/// How many lines say something.
pub(crate) fn lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Where `word` stands on its own, as line numbers from 1.
pub(crate) fn lines_with(code: &str, word: &str) -> Vec<usize> {
    code.match_indices(word)
        .filter(|(at, _)| {
            let (before, after) = (&code[..*at], &code[at + word.len()..]);
            let joins_before = word.starts_with(is_name) && before.ends_with(is_name);
            let joins_after = word.ends_with(is_name) && after.starts_with(is_name);
            !joins_before && !joins_after
        })
        .map(|(at, _)| line_of(code, at))
        .collect()
}

/// The modules at the top of the crate that the code names, with the lines
/// where it does. `depth` is how far below the top the code itself lies; `krate`
/// is what the crate is called there.
pub(crate) fn modules_named(code: &str, depth: usize, krate: &str) -> Vec<(usize, String)> {
    let from_below = format!("super{}", "::super".repeat(depth.saturating_sub(1)));
    let mut roots = vec![krate];
    if depth > 0 {
        roots.push(&from_below);
    }
    let mut named = Vec::new();
    for root in roots {
        let root = format!("{root}::");
        for (at, _) in code.match_indices(&root) {
            let before = &code[..at];
            if !before.ends_with(is_name) && !before.ends_with("super::") {
                let rest = &code[at + root.len()..];
                let line = line_of(code, at);
                named.extend(first_names(rest).into_iter().map(|name| (line, name)));
            }
        }
    }
    named
}

/// The names of the modules in the files that only tests have.
pub(crate) fn test_modules(text: &str) -> Vec<String> {
    let code = without_texts(text);
    code.match_indices(CFG_TEST)
        .filter_map(|(at, _)| code[at + CFG_TEST.len()..].trim_start().strip_prefix("mod "))
        .filter_map(|rest| rest.split_once([';', '{']))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

const CFG_TEST: &str = "#[cfg(test)]";

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(code: &str, at: usize) -> usize {
    1 + code[..at].matches('\n').count()
}

/// The first name of a path, or of each path in a group.
fn first_names(rest: &str) -> Vec<String> {
    let name = |path: &str| path.trim_start().chars().take_while(|c| is_name(*c)).collect();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let mut depth = 0;
    let mut names = Vec::new();
    let mut begin = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                names.push(name(&group[begin..at]));
                begin = at + 1;
            }
            '}' if depth == 0 => {
                names.push(name(&group[begin..at]));
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name: &String| !name.is_empty());
    names
}

/// Comments become blanks and texts underscores.
fn without_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_name = code.ends_with(is_name);
        let (length, filler) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), ' ')
        } else if rest.starts_with("/*") {
            (block_comment(rest), ' ')
        } else if let Some(length) = raw_text(rest).filter(|_| !after_name) {
            (length, '_')
        } else if c == '"' {
            (quoted(rest, '"'), '_')
        } else if let Some(length) = character(rest) {
            (length, '_')
        } else {
            (0, c)
        };
        if length == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { c } else { filler }));
            rest = &rest[length..];
        }
    }
    code
}

/// The length of the comment that begins here; comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of the raw text that begins here, if one does.
fn raw_text(rest: &str) -> Option<usize> {
    let marks = ["r", "br", "cr"].iter().find_map(|mark| rest.strip_prefix(mark))?;
    let body = marks.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(marks.len() - body.len()));
    let inside = body.strip_prefix('"')?;
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(rest.len() - inside.len() + length)
}

/// The length of what is quoted here, with its quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// The length of the character that is quoted here; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.strip_prefix('\'')?.chars();
    let first = chars.next()?;
    (first == '\\' || chars.next() == Some('\'')).then(|| quoted(rest, '\''))
}

/// Items marked as tests become blank lines.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(CFG_TEST) {
        let (before, marked) = rest.split_at(at);
        let end = item_end(marked);
        kept.push_str(before);
        kept.extend(marked[..end].chars().filter(|c| *c == '\n'));
        rest = &marked[end..];
    }
    kept + rest
}

/// Where the item ends that begins here with attributes.
fn item_end(marked: &str) -> usize {
    let mut depth = 0;
    let mut item = None;
    for (at, c) in marked.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            // The attributes are over at the first letter outside brackets.
            _ if depth == 0 && item.is_none() && is_name(c) => item = Some(at),
            _ => {}
        }
        let Some(begin) = item else { continue };
        let is_use = marked[begin..].starts_with("use ") || marked[begin..].starts_with("pub use ");
        if depth == 0 && (c == ';' || (c == '}' && !is_use)) {
            return at + 1;
        }
    }
    marked.len()
}
