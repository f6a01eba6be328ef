//! The two files that a running cluster follows: the ring, and the topic rules in the config.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use campanile_process::settings::{ConfigFile, Fault, Faults, Resolver, Setting, read_text};
use campanile_process::shutdown::Shutdown;
use campanile_process::watched_file::WatchedFile;
use campanile_ring_config::{Feed, FollowedRing, Offers, Ring, RingEvent, RingFile, TopicRules, topics};
use tokio::sync::watch;

/// The ring file that is taken when no option names one.
const RING_HERE: &str = "ring.toml";

/// A ring, and the file that it came from.
pub(crate) struct RingSource {
    pub(crate) ring: Arc<Ring>,
    /// `None` for the example compiled in.
    file: Option<(PathBuf, String)>,
}

/// A config file's settings and rules.
pub(crate) struct Config {
    pub(crate) file: ConfigFile,
    pub(crate) rules: TopicRules,
    path: PathBuf,
    text: String,
}

impl RingSource {
    /// The ring of this file, or of `ring.toml` here, or the example.
    ///
    /// # Errors
    /// Every fault of the file.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Faults> {
        let here = Path::new(RING_HERE);
        let path = path.or_else(|| here.exists().then_some(here));
        match path {
            Some(path) => Self::read(path),
            None => Ok(Self { ring: Arc::new(Ring::example()), file: None }),
        }
    }

    /// The ring of this file.
    ///
    /// # Errors
    /// Every fault of the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Faults> {
        let (ring, text) = Ring::read(path)?;
        Ok(Self { ring: Arc::new(ring), file: Some((path.to_owned(), text)) })
    }

    /// The same as [`RingSource::load`] among other settings: a fault goes to theirs, and what comes back is harmless.
    pub(crate) fn load_or_fault(path: Option<&Path>, resolver: &mut Resolver<'_>) -> Self {
        Self::load(path).unwrap_or_else(|faults| {
            resolver.faults(faults);
            Self::fixed(Ring::example())
        })
    }

    /// A ring that no file holds.
    pub(crate) fn fixed(ring: Ring) -> Self {
        Self { ring: Arc::new(ring), file: None }
    }

    /// Whether a file holds the ring, which may be edited.
    pub(crate) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// Logs which ring this is.
    pub(crate) fn log(&self) {
        let (version, members) = (self.ring.version(), self.ring.members().len());
        match &self.file {
            Some((path, _)) => tracing::info!(file = %path.display(), version, members, "ring"),
            None => {
                tracing::info!(version, members, "ring compiled in; name a file with --ring to change it")
            }
        }
    }

    /// The ring that is in force, from now on with the file's edits and the rings that topic servers offer. `refused`
    /// is called for each edit that is not adopted.
    pub(crate) fn follow(self, shutdown: &Shutdown, refused: impl Fn() + Send + 'static) -> Feed {
        let (sender, rings) = watch::channel(Arc::clone(&self.ring));
        let (offers, offered) = Offers::new();
        let reload = shutdown.reload.clone();
        let file = self.file.map(|(path, text)| RingFile::follow(path, text, Arc::clone(&self.ring), reload));
        let has_file = file.is_some();
        let mut followed = FollowedRing::new(self.ring, file, offered, shutdown.clone());
        tokio::spawn(async move {
            loop {
                match followed.next().await {
                    RingEvent::Adopted(ring) => {
                        sender.send_replace(ring);
                    }
                    RingEvent::AdoptedOffer(ring) => {
                        let version = ring.version();
                        if has_file {
                            tracing::warn!(
                                version,
                                "the ring of version {version} was adopted from a topic server; the file still \
                                 holds an older one: save the new one there, too"
                            );
                        } else {
                            tracing::warn!(
                                version,
                                "the ring of version {version} was adopted from a topic server"
                            );
                        }
                        sender.send_replace(ring);
                    }
                    RingEvent::Refused(why) => {
                        refused();
                        tracing::error!("ring file refused, the ring in force stays: {why}");
                    }
                    RingEvent::Behind { file, current } => {
                        tracing::info!(file, current, "the ring file is still older than the ring in force");
                    }
                    RingEvent::Restored => tracing::info!("the ring file holds the ring in force again"),
                }
            }
        });
        Feed { rings, offers }
    }
}

impl Config {
    /// Reads a config file, with these settings as the keys that it may have. The faults of what stands there come
    /// beside it, so that those of its values can be named with them.
    ///
    /// # Errors
    /// Why nothing of the file can be used.
    pub(crate) fn read(path: &Path, keys: &[&'static [Setting]]) -> Result<(Self, Faults), Faults> {
        let shown = path.display().to_string();
        let text =
            read_text(path).map_err(|error| Fault::new(&*shown, format!("cannot be read: {error}")))?;
        let (file, mut faults) = ConfigFile::parse_leniently(&shown, text.clone(), keys, &[topics::KEY])?;
        let rules = TopicRules::from_config(&file).unwrap_or_else(|in_rules| {
            faults.extend(in_rules);
            TopicRules::default()
        });
        let path = path.to_owned();
        Ok((Self { file, rules, path, text }, faults))
    }

    /// The rules, from now on with the file's edits. Other settings stay as they were at the start.
    pub(crate) fn follow(
        self,
        keys: Vec<&'static [Setting]>,
        reload: watch::Receiver<u64>,
        refused: impl Fn() + Send + 'static,
    ) -> Arc<ArcSwap<TopicRules>> {
        let rules = Arc::new(ArcSwap::from_pointee(self.rules));
        let followed = Arc::clone(&rules);
        let mut file = WatchedFile::follow(self.path, self.text, reload);
        let shown = self.file.shown().to_owned();
        tokio::spawn(async move {
            loop {
                let read = match file.changed().await {
                    Ok(text) => ConfigFile::parse(&shown, text, &keys, &[topics::KEY])
                        .and_then(|file| TopicRules::from_config(&file)),
                    Err(error) => Err(Fault::new(&*shown, format!("cannot be read: {error}")).into()),
                };
                match read {
                    Ok(rules) => {
                        tracing::info!(file = %shown, rules = rules.rules().len(), "topic rules adopted");
                        followed.store(Arc::new(rules));
                    }
                    Err(faults) => {
                        refused();
                        tracing::error!("config file refused, the topic rules in force stay: {faults}");
                    }
                }
            }
        });
        rules
    }
}
