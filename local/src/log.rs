//! The log for the person who started the server: the functions' lines, its own, and each request with its outcome.

mod short;

use std::{
    env, fmt,
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use clap::ValueEnum;
use hyper::Request;

use short::Short;

/// A function that takes log entries. It is called while requests are answered, so it must not wait.
pub type LogSink = Arc<dyn Fn(Entry) + Send + Sync>;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A line that a function has written, without the line end.
    Written { function: String, line: String },
    /// A remark of the gateway about a function, or of the front about `dynamodb`. A remark about a stopped request has its id.
    Said { of: String, text: String, request: Option<String> },
    /// A request to the gateway is over.
    Answered(Answered),
}

/// Writes an entry as it comes, for example `[users-update] …`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written { function: of, line: text } | Self::Said { of, text, .. } => write!(f, "[{of}] {text}"),
            Self::Answered(answered) => f.write_str(short::row(answered, None, false).trim_end()),
        }
    }
}

impl Entry {
    /// Makes a remark of the server itself about a function or about `dynamodb`.
    pub(crate) fn said(of: &str, text: impl ToString) -> Self {
        Self::Said { of: of.into(), text: text.to_string(), request: None }
    }
}

/// A request to the gateway that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The id that functions use for the request: `JKJaXmPLvHcESHA=`.
    pub request: String,
    pub came: SystemTime,
    pub method: String,
    /// The path, still encoded, cut, and without the query, which may hold secrets.
    pub path: String,
    /// `None` if the caller was gone before there was an answer.
    pub status: Option<u16>,
    pub took: Duration,
    /// The function of the route.
    pub function: Option<String>,
    /// The reason why the gateway answered without the function.
    pub cause: Option<String>,
}

/// The most characters of a method and of a path.
const MAX_METHOD: usize = 10;
const MAX_PATH: usize = 120;

impl Answered {
    /// Makes the entry of a request that has just come and has no answer yet.
    pub(crate) fn not_yet<B>(request: &Request<B>, id: &str) -> Self {
        Self {
            request: id.into(),
            came: SystemTime::now(),
            method: short::visible(request.method().as_str(), MAX_METHOD),
            path: short::visible(request.uri().path(), MAX_PATH),
            status: None,
            took: Duration::ZERO,
            function: None,
            cause: None,
        }
    }
}

/// The form in which `cargo run` writes the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line a request, and what went wrong in words
    Short,
    /// The functions' own lines, as CloudWatch would get them
    Json,
}

/// The most entries that wait for a slow terminal. Later ones are only counted.
const QUEUE: usize = 4096;
/// The number of waiting entries that are written in one piece.
const PIECE: usize = 256;
/// The time that the end waits for a slow terminal.
const FAREWELL: Duration = Duration::from_millis(250);

/// Writes entries from its own thread, so that no answer waits for the terminal. When it is dropped, it writes the entries that
/// are left.
pub struct Writer {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

enum Message {
    Entry(Entry),
    /// No more entries come. The other side waits until this is dropped.
    End(SyncSender<()>),
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system does not allow another thread.
    pub fn start(format: Format, colours: bool, out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, entries) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let short = (format == Format::Short).then(|| Short::new(colours));
        let counted = Arc::clone(&lost);
        thread::Builder::new().name("log".into()).spawn(move || run(&entries, &counted, short, out))?;
        Ok(Self { queue, lost })
    }

    pub fn sink(&self) -> LogSink {
        let (queue, lost) = (self.queue.clone(), Arc::clone(&self.lost));
        Arc::new(move |entry| {
            if let Err(TrySendError::Full(_)) = queue.try_send(Message::Entry(entry)) {
                lost.fetch_add(1, Relaxed);
            }
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (written, all) = sync_channel(1);
        // If the queue is full now, the terminal takes nothing.
        if self.queue.try_send(Message::End(written)).is_ok() {
            // This returns when the other end is gone or the time is up.
            let _ = all.recv_timeout(FAREWELL);
        }
    }
}

/// Runs the thread. `short` joins the log entries of one request. Without it, lines are written as they come.
fn run(entries: &Receiver<Message>, lost: &AtomicU64, mut short: Option<Short>, mut out: impl Write) {
    loop {
        let due = short.as_ref().and_then(Short::due);
        let next = match due {
            Some(due) => entries.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => entries.recv().map_err(RecvTimeoutError::from),
        };
        if matches!(next, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
        let (mut text, mut end) = (String::new(), None);
        for message in next.into_iter().chain(entries.try_iter().take(PIECE)) {
            match (message, &mut short) {
                (Message::End(written), _) => end = Some(written),
                (Message::Entry(entry), Some(short)) => short.take(entry, Instant::now(), &mut text),
                (Message::Entry(Entry::Written { line, .. }), None) => text.extend([&line, "\n"]),
                (Message::Entry(entry @ Entry::Said { .. }), None) => text += &format!("{entry}\n"),
                (Message::Entry(Entry::Answered(_)), None) => {}
            }
        }
        if let Some(short) = &mut short {
            short.give_up(end.is_none().then(Instant::now), &mut text);
        }
        let lost = lost.swap(0, Relaxed);
        if lost > 0 {
            text += &format!("[log] {lost} lines are missing here: they came faster than they could be written\n");
        }
        // If nothing can be written, there is nobody to tell.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if end.is_some() {
            return;
        }
    }
}

/// Says whether standard error takes colours: it is a terminal, and `NO_COLOR` is not set. <https://no-color.org>
pub fn wants_colours() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At first nobody reads the pipe, and it holds only 64 KiB.
    #[test]
    fn what_a_slow_terminal_misses_is_counted() {
        let (reader, terminal) = io::pipe().unwrap();
        let writer = Writer::start(Format::Short, false, terminal).unwrap();
        let (sink, all) = (writer.sink(), 3 * QUEUE);
        let telling = thread::spawn(move || (0..all).for_each(|_| sink(Entry::said("f", "x".repeat(100)))));
        let until = Instant::now() + Duration::from_secs(20);
        while !telling.is_finished() {
            assert!(Instant::now() < until, "who tells waits for the terminal");
            thread::yield_now();
        }
        let reading = thread::spawn(|| io::read_to_string(reader).unwrap());
        drop(writer);
        let told = reading.join().unwrap();
        let missing = told.lines().filter_map(|line| line.strip_prefix("[log] ")?.split_once(" lines are missing"));
        let missing: usize = missing.map(|(count, _)| count.parse::<usize>().unwrap()).sum();
        let came = told.lines().filter(|line| line.starts_with("[f] ")).count();
        assert!(missing > 0 && missing <= all - QUEUE, "{missing}");
        assert_eq!(came + missing, all);
    }
}
