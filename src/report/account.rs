//! Whether every frame is accounted for.

use crate::base::{Error, ErrorKind, Result};
use crate::measure::{Measured, OnDevice, OnSocket, Verified};

/// Where a stream's frames went. None: this side doesn't know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Frames that the source gave.
    pub captured: Option<u64>,
    /// Frames that were sent whole.
    pub sent: Option<u64>,
    /// Frames that the driver dropped before it gave the next, by its numbers.
    pub driver_drops: Option<u64>,
    /// Frames that the sender dropped by its policy.
    pub sender_drops: Option<u64>,
    /// Frames that the source gave and that the run's end left unsent.
    pub left_over: Option<u64>,
    /// Frames that came whole.
    pub received: Option<u64>,
    /// Frames that were sent and did not come.
    pub lost: Option<u64>,
    /// Frames that were sent after the receiver had what it wanted.
    pub receiver_drops: Option<u64>,
    /// Frames whose checksum was another at the receiver.
    pub spoiled: Option<u64>,
    /// Frames that the driver left unwritten, whole or in part.
    pub unwritten: Option<u64>,
    /// Frames that came to this side and are not what the format says.
    pub incomplete: u64,
    /// Frames that the output device accounts for, if there is one.
    pub by_device: Option<u64>,
    /// Frames that are accounted for at the socket, if there is one.
    pub at_socket: Option<u64>,
    /// Consumers whose counts don't add up.
    pub miscounted: u64,
}

impl Account {
    /// What a sender knows.
    pub fn of_sender(report: &Measured) -> Self {
        let verified = report.verified.as_ref();
        let outcome = report.outcome.as_ref();
        let not_received = outcome.map(|it| report.frames.saturating_sub(it.received));
        let had_enough = outcome.is_some_and(|it| it.had_enough);
        let (lost, receiver_drops) = match not_received {
            None => (None, None),
            Some(frames) if had_enough => (Some(0), Some(frames)),
            Some(frames) => (Some(frames), Some(0)),
        };
        Account {
            captured: Some(report.captured),
            sent: Some(report.frames),
            driver_drops: report.sequence.drops(),
            sender_drops: Some(report.sender_drops.total()),
            left_over: Some(report.left_over),
            received: outcome.map(|it| it.received),
            lost,
            receiver_drops,
            spoiled: outcome.and(verified).and(outcome).map(|it| it.spoiled),
            unwritten: verified.map(Verified::not_whole),
            incomplete: report.incomplete_frames,
            by_device: None,
            at_socket: None,
            miscounted: miscounted(report),
        }
    }

    /// What a capture without a network knows.
    pub fn of_capture(report: &Measured) -> Self {
        Account {
            captured: Some(report.captured),
            driver_drops: report.sequence.drops(),
            incomplete: report.incomplete_frames,
            miscounted: miscounted(report),
            ..Account::default()
        }
    }

    /// What a receiver knows.
    pub fn of_receiver(report: &Measured) -> Self {
        let end = report.end.as_ref();
        Account {
            captured: end.map(|it| it.captured),
            sent: end.map(|it| it.sent),
            driver_drops: end.and_then(|it| it.driver_drops),
            sender_drops: end.map(|it| it.sender_drops),
            left_over: end.map(|it| it.left_over),
            received: Some(report.frames),
            lost: end
                .map(|it| it.sent.saturating_sub(report.frames))
                .or((report.missing > 0).then_some(report.missing)),
            receiver_drops: None,
            spoiled: report.verified.as_ref().map(|it| it.spoiled),
            // The sender looks, if it is one that tells.
            unwritten: report
                .verified
                .as_ref()
                .map(Verified::not_whole)
                .filter(|_| report.described().is_some_and(|it| it.unwritten)),
            incomplete: report.incomplete_frames,
            by_device: report.on_device.as_ref().map(OnDevice::frames),
            at_socket: report.on_socket.as_ref().map(OnSocket::frames),
            miscounted: miscounted(report),
        }
    }

    /// What doesn't add up, in words.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let (Some(captured), Some(sent), Some(dropped), Some(left)) =
            (self.captured, self.sent, self.sender_drops, self.left_over)
        {
            let known = sent.saturating_add(dropped).saturating_add(left);
            if captured != known {
                faults.push(format!(
                    "{captured} frames captured are not {sent} sent, {dropped} dropped and {left} \
                     left over"
                ));
            }
        }
        if let (Some(sent), Some(received)) = (self.sent, self.received) {
            if received > sent {
                faults.push(format!("{received} frames received of {sent} sent"));
            }
        }
        let sinks = [
            (self.by_device, "by the output device"),
            (self.at_socket, "at the socket"),
        ];
        for (frames, by) in sinks {
            match (self.received, frames) {
                (Some(received), Some(frames)) if received != frames => faults.push(format!(
                    "{frames} frames are accounted for {by}, of {received} received"
                )),
                _ => {}
            }
        }
        if self.miscounted > 0 {
            faults.push(format!(
                "frames of {} consumers are neither delivered nor dropped nor left",
                self.miscounted
            ));
        }
        let counts = [
            (self.lost, "frames were lost in transit"),
            (self.spoiled, "frames arrived spoiled"),
            (
                self.unwritten,
                "frames were not written by the driver, or not whole",
            ),
            (
                Some(self.incomplete),
                "frames are incomplete: short, empty, or of other planes than described",
            ),
        ];
        for (count, what) in counts {
            if let Some(count) = count.filter(|count| *count > 0) {
                faults.push(format!("{count} {what}"));
            }
        }
        faults
    }

    /// An error of kind `Integrity` if a frame is unaccounted for, or is not what it
    /// should be.
    pub fn check(&self) -> Result<()> {
        let faults = self.faults();
        if faults.is_empty() {
            return Ok(());
        }
        Err(
            Error::new(ErrorKind::Integrity, "vouch for the stream's frames")
                .cause(faults.join("; ")),
        )
    }
}

/// How many consumers' counts don't add up.
fn miscounted(report: &Measured) -> u64 {
    let consumers = report.consumers.iter();
    consumers.filter(|consumer| !consumer.adds_up()).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Account {
        Account {
            captured: Some(10),
            sent: Some(6),
            driver_drops: Some(3),
            sender_drops: Some(3),
            left_over: Some(1),
            received: Some(6),
            lost: Some(0),
            receiver_drops: Some(0),
            spoiled: Some(0),
            unwritten: Some(0),
            incomplete: 0,
            by_device: None,
            at_socket: None,
            miscounted: 0,
        }
    }

    #[test]
    fn a_balanced_account_passes_and_so_does_what_nobody_knows() {
        assert!(whole().check().is_ok());
        assert!(Account::default().check().is_ok());
    }

    #[test]
    fn each_thing_that_does_not_add_up_is_named() {
        for (account, named) in [
            (
                Account {
                    captured: Some(11),
                    ..whole()
                },
                "11 frames captured are not 6 sent, 3 dropped and 1 left over",
            ),
            (
                Account {
                    received: Some(7),
                    ..whole()
                },
                "7 frames received of 6 sent",
            ),
            (
                Account {
                    lost: Some(2),
                    ..whole()
                },
                "2 frames were lost in transit",
            ),
            (
                Account {
                    spoiled: Some(1),
                    ..whole()
                },
                "1 frames arrived spoiled",
            ),
            (
                Account {
                    unwritten: Some(4),
                    ..whole()
                },
                "4 frames were not written",
            ),
            (
                Account {
                    incomplete: 2,
                    ..whole()
                },
                "2 frames are incomplete",
            ),
        ] {
            let error = account.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity);
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
