use super::*;
use crate::report::Report;
use crate::run::{Observer, Stop};

struct Nobody;

impl Observer for Nobody {
    fn tick(&mut self, _: &Report) -> Result<()> {
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
