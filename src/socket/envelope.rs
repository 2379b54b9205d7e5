//! What stands on a datagram besides its bytes: who sent it, to which address,
//! in which class of service; and the same on its answer.

use crate::endpoint::Party;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Where a datagram came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// An address and port; IPv4-mapped ones are IPv4.
    Ip(SocketAddr),
    /// A Unix socket with an address.
    Named,
    /// One without: nobody can answer it.
    Nameless,
}

/// What the kernel said about a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The address that was asked; IPv4-mapped ones are IPv4.
    pub asked: Option<IpAddr>,
    /// Whether `asked` is none of our addresses, but one of many machines.
    pub is_broadcast: bool,
    /// Whether it is surely ours, and nobody else's.
    pub is_own: bool,
    /// TTL or hop limit that was left, if asked for.
    pub hops: Option<u8>,
    /// The process that sent it, on a Unix socket.
    pub process: Option<Party>,
    /// The interface that it came in by.
    interface: u32,
    /// The traffic class, if it was asked for.
    class: Option<Class>,
}

/// DSCP and two bits of ECN, and the protocol in whose header they stood: it may be
/// all that tells of which family a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    V4(u8),
    V6(u8),
}

/// Room for all that an answer says to the kernel.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Label {
    bytes: [MaybeUninit<u8>; LABEL_MAX],
    length: usize,
}

/// Packet information of either family, and a traffic class.
const LABEL_MAX: usize = space(size_of::<libc::in6_pktinfo>()) + space(size_of::<libc::c_int>());

/// What stands before the data of a control message, in bytes.
const HEADER: usize = size_of::<libc::cmsghdr>();

/// The length of a control message with so much data.
pub(super) const fn space(data: usize) -> usize {
    HEADER + data.next_multiple_of(align_of::<libc::cmsghdr>())
}

/// Who sent this.
///
/// # Safety
/// `name` has `length` bytes that the kernel wrote.
pub(super) unsafe fn sender(name: *const libc::sockaddr_storage, length: usize) -> Sender {
    let family_end = offset_of!(libc::sockaddr_storage, ss_family) + size_of::<libc::sa_family_t>();
    if length < family_end {
        return Sender::Nameless;
    }
    // SAFETY: the family was written, and each address is read only if all of
    // it was; their alignments are less than the storage's.
    unsafe {
        match i32::from((*name).ss_family) {
            libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
                let v4 = *name.cast::<libc::sockaddr_in>();
                Sender::Ip((v4_address(v4.sin_addr), u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
                let v6 = *name.cast::<libc::sockaddr_in6>();
                let (address, port) =
                    (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
                Sender::Ip(match address.to_ipv4_mapped() {
                    Some(v4) => (v4, port).into(),
                    None => SocketAddrV6::new(address, port, 0, v6.sin6_scope_id).into(),
                })
            }
            libc::AF_UNIX if length > family_end => Sender::Named,
            _ => Sender::Nameless,
        }
    }
}

impl Control {
    /// Reads what the kernel wrote beside a datagram. What it cannot have written
    /// ends the reading: the memory of a predecessor may be damaged.
    pub(super) fn read(mut rest: &[u8]) -> Self {
        let mut control = Self::default();
        // SAFETY: any bytes are a cmsghdr.
        while let Some(header) = unsafe { get::<libc::cmsghdr>(rest) } {
            let Some(data) = rest.get(HEADER..header.cmsg_len) else { break };
            control.note(header.cmsg_level, header.cmsg_type, data);
            rest = rest.get(space(data.len())..).unwrap_or_default();
        }
        control
    }

    fn note(&mut self, level: i32, kind: i32, data: &[u8]) {
        // SAFETY: any bytes are any of these.
        unsafe {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let Some(info) = get::<libc::in_pktinfo>(data) else { return };
                    let (asked, ours) = (v4_address(info.ipi_addr), v4_address(info.ipi_spec_dst));
                    self.asked = Some(asked.into());
                    // A datagram that was queued before anybody asked has no
                    // such address; for it the kernel has the last word.
                    self.is_broadcast = asked != ours && !ours.is_unspecified();
                    self.is_own = asked == ours;
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let Some(info) = get::<libc::in6_pktinfo>(data) else { return };
                    let asked = Ipv6Addr::from(info.ipi6_addr.s6_addr).to_canonical();
                    self.asked = Some(asked);
                    // Of an IPv4 address the other family's message tells.
                    self.is_own |= asked.is_ipv6() && !asked.is_multicast();
                    self.interface = info.ipi6_ifindex;
                }
                (libc::IPPROTO_IP, libc::IP_TOS) => {
                    self.class = get::<u8>(data).map(Class::V4);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    self.class = get::<libc::c_int>(data).map(low_byte).map(Class::V6);
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    self.hops = get::<libc::c_int>(data).map(low_byte);
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    self.process = get::<libc::ucred>(data).map(|sender| Party::Process {
                        pid: sender.pid.unsigned_abs(),
                        uid: sender.uid,
                    });
                }
                _ => {}
            }
        }
    }
}

/// The two bits of a traffic class that are not DSCP.
const ECN: u8 = 3;

impl Label {
    pub(super) fn nothing() -> Self {
        Self { bytes: [MaybeUninit::uninit(); LABEL_MAX], length: 0 }
    }

    /// Says of the answer to such a datagram that it leaves from the address that
    /// was asked, with the request's DSCP and no ECN. Which interface it leaves
    /// by is the routing tables' to say, but for addresses of one link.
    pub(super) fn write(&mut self, request: &Control) {
        self.length = 0;
        match request.asked {
            Some(IpAddr::V4(asked)) => {
                let from = libc::in_addr { s_addr: u32::from_ne_bytes(asked.octets()) };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: from, ipi_addr: from };
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(asked)) => {
                let interface = if asked.is_unicast_link_local() { request.interface } else { 0 };
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: asked.octets() },
                    ipi6_ifindex: interface,
                };
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            None => {}
        }
        let (level, kind, class) = match request.class {
            Some(Class::V4(class)) => (libc::IPPROTO_IP, libc::IP_TOS, class & !ECN),
            Some(Class::V6(class)) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class & !ECN),
            None => return,
        };
        if class != 0 {
            self.push(level, kind, libc::c_int::from(class));
        }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.bytes.as_mut_ptr().cast()
    }

    /// In bytes, without what would align another message behind the last: the
    /// kernel has room of its own for packet information of IPv6, and for no more.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    fn push<T: Copy>(&mut self, level: i32, kind: i32, value: T) {
        self.length = self.length.next_multiple_of(align_of::<libc::cmsghdr>());
        assert!(self.length + space(size_of::<T>()) <= LABEL_MAX, "two messages at most");
        // SAFETY: any bytes are a cmsghdr.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        (header.cmsg_level, header.cmsg_type) = (level, kind);
        header.cmsg_len = HEADER + size_of::<T>();
        // SAFETY: there is room for both, and lengths so far are aligned.
        unsafe {
            let at = self.bytes.as_mut_ptr().add(self.length);
            at.cast::<libc::cmsghdr>().write_unaligned(header);
            at.add(HEADER).cast::<T>().write_unaligned(value);
        }
        self.length += header.cmsg_len;
    }
}

fn v4_address(address: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(address.s_addr.to_ne_bytes())
}

fn low_byte(value: libc::c_int) -> u8 {
    value.to_le_bytes()[0]
}

/// What begins there, if it is all there.
///
/// # Safety
/// Any bytes are a `T`.
unsafe fn get<T: Copy>(data: &[u8]) -> Option<T> {
    // SAFETY: it is long enough.
    (data.len() >= size_of::<T>()).then(|| unsafe { data.as_ptr().cast::<T>().read_unaligned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that says how many hops were left, and of itself that it has
    /// this length.
    fn hops(length: usize) -> Vec<u8> {
        let mut message = length.to_ne_bytes().to_vec();
        for word in [libc::IPPROTO_IP, libc::IP_TTL, 64, 0] {
            message.extend(word.to_ne_bytes());
        }
        message
    }

    #[test]
    fn what_the_kernel_says_is_read_message_by_message() {
        let empty = [&16_usize.to_ne_bytes()[..], &[0; 8]].concat();
        assert_eq!(Control::read(&hops(20)).hops, Some(64));
        assert_eq!(Control::read(&hops(20)[..20]).hops, Some(64));
        assert_eq!(Control::read(&[empty, hops(20)].concat()).hops, Some(64));
        assert_eq!(Control::read(&[]), Control::default());
    }

    #[test]
    fn a_length_that_the_kernel_cannot_have_written_ends_the_reading() {
        for length in [0, 1, 15, 16, 19, 25, 4_096, usize::MAX - 16, usize::MAX] {
            assert_eq!(Control::read(&hops(length)).hops, None, "{length}");
            if length != 16 && length != 19 {
                let control = [hops(length), hops(20)].concat();
                let past = length == 25;
                assert_eq!(Control::read(&control).hops.is_some(), past, "{length}");
            }
        }
        for cut in 0..20 {
            assert_eq!(Control::read(&hops(20)[..cut]), Control::default());
        }
    }
}
