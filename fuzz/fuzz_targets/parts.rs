//! Several texts in one input.

/// The parts of `data` between the lines of `%%`.
pub fn of(data: &[u8]) -> Vec<&[u8]> {
    const BETWEEN: &[u8] = b"\n%%\n";
    let (mut parts, mut rest) = (Vec::new(), data);
    while let Some(at) = rest
        .windows(BETWEEN.len())
        .position(|window| window == BETWEEN)
    {
        parts.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    parts.push(rest);
    parts
}
