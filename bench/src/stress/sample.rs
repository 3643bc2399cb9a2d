//! What a process and its directory take at a moment, from `/proc` and the file system.

use std::path::Path;

/// A moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) rss_bytes: u64,
    pub(super) open_files: u64,
    pub(super) object_count: u64,
    pub(super) object_bytes: u64,
}

impl Sample {
    /// Looks at a process and a directory. What cannot be read is zero: files come and go meanwhile.
    pub(super) fn take(pid: u32, data: &Path) -> Self {
        let mut sample = Self { rss_bytes: rss_bytes(pid), ..Self::default() };
        sample.open_files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |files| files.count() as u64);
        let mut pending = vec![data.to_owned()];
        while let Some(directory) = pending.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => pending.push(entry.path()),
                    Ok(metadata) => {
                        sample.object_count += 1;
                        sample.object_bytes += metadata.len();
                    }
                    Err(_) => {}
                }
            }
        }
        sample
    }
}

/// Memory resident now (`VmRSS`).
pub(super) fn rss_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.unwrap_or(0) * 1024
}

/// The slope of a line through points, by least squares: how much `y` grows while `x` grows by one. Zero for fewer than two.
pub(super) fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in points {
        above += (x - mean_x) * (y - mean_y);
        below += (x - mean_x) * (x - mean_x);
    }
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes() {
        assert_eq!(slope(&[]), 0.0);
        assert_eq!(slope(&[(1.0, 5.0)]), 0.0);
        assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn this_process_takes_something() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("object"), [0; 7]).expect("a file");
        let sample = Sample::take(std::process::id(), directory.path());
        assert!(sample.rss_bytes > 100_000 && sample.open_files > 2, "{sample:?}");
        assert_eq!((sample.object_count, sample.object_bytes), (1, 7));
        assert_eq!(Sample::take(u32::MAX, directory.path()).rss_bytes, 0);
    }
}
