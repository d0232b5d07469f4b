use std::io::Read;
use std::sync::Arc;

use std::os::unix::fs::OpenOptionsExt;

use nix::libc::O_NONBLOCK;

use super::*;
use crate::base::{Observer, Stop};

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_file_is_replaced_by_a_whole_one_and_a_link_to_it_stays() {
    let folder = folder("report-replaced");
    let (file, link) = (folder.join("file"), folder.join("link"));
    std::fs::write(&file, "an older and longer report").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let stop = Stop::new().unwrap();
    let mut nobody = Nobody;
    let mut run = Run::new(&stop, &mut nobody);
    check(&link, &mut run).unwrap();
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "an older and longer report",
        "a report stays until there is another"
    );
    write(&link, "new".to_owned(), false, &mut run).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
    assert!(link.is_symlink(), "the link was replaced");
    let left = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(left, 2, "something was left beside them");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_fifo_waits_for_its_reader_and_no_longer_than_for_a_stop() {
    let folder = folder("report-fifo");
    let fifo = folder.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let stop = Stop::new().unwrap();
    let mut nobody = Nobody;
    let mut run = Run::new(&stop, &mut nobody);
    check(&fifo, &mut run).unwrap();
    let own = fifo.clone();
    let reader = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        std::fs::read_to_string(own).unwrap()
    });
    let text = "x".repeat(1 << 20);
    write(&fifo, text.clone(), false, &mut run).unwrap();
    assert_eq!(reader.join().unwrap(), text);
    stop.request();
    let error = write(&fifo, text, false, &mut run).unwrap_err();
    assert!(error.to_string().contains("nobody reads it"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_reader_that_is_slow_gets_the_whole_report_after_a_stop() {
    let folder = folder("report-slow");
    let fifo = folder.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let stop = Arc::new(Stop::new().unwrap());
    let mut nobody = Nobody;
    let mut run = Run::new(&stop, &mut nobody);
    let (own, its_stop) = (fifo.clone(), Arc::clone(&stop));
    let reader = std::thread::spawn(move || {
        let mut pipe = File::open(own).unwrap();
        let mut taken = vec![0; 1 << 10];
        pipe.read_exact(&mut taken).unwrap();
        its_stop.request();
        // Longer than one that takes nothing has, and less than makes room in a pipe.
        for _ in 0..3 {
            std::thread::sleep(TICK * 4);
            taken.push(0);
            pipe.read_exact(taken.last_mut().map(std::slice::from_mut).unwrap())
                .unwrap();
        }
        pipe.read_to_end(&mut taken).unwrap();
        taken
    });
    let text = "x".repeat(1 << 20);
    write(&fifo, text.clone(), false, &mut run).unwrap();
    assert!(reader.join().unwrap() == text.as_bytes());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_reader_that_takes_nothing_is_none() {
    let folder = folder("report-unread");
    let fifo = folder.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _reader = OpenOptions::new()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(&fifo)
        .unwrap();
    let stop = Stop::new().unwrap();
    for is_last in [true, false] {
        if !is_last {
            stop.request();
        }
        let mut nobody = Nobody;
        let mut run = Run::new(&stop, &mut nobody);
        let begun = Instant::now();
        let error = write(&fifo, "x".repeat(1 << 20), is_last, &mut run).unwrap_err();
        assert!(error.to_string().contains("nobody reads it"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(1), "it waited");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
