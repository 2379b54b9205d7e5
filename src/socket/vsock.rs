//! Addresses of virtual machines, which the standard library has no word for.

use crate::endpoint::Party;
use rustix::io::Errno;
use rustix::net::SocketAddrAny;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Binds a vsock socket.
pub(super) fn bind(socket: BorrowedFd<'_>, cid: u32, port: u32) -> Result<(), Errno> {
    // SAFETY: any bytes are such an address.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK.try_into().expect("a family is a small number");
    (address.svm_cid, address.svm_port) = (cid, port);
    let length = size_of::<libc::sockaddr_vm>().try_into().expect("sixteen bytes");
    // SAFETY: the address has so many bytes.
    match unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// A virtual machine's address, if this is one.
pub(super) fn party(address: &SocketAddrAny) -> Option<Party> {
    let is_whole = address.addr_len() as usize >= size_of::<libc::sockaddr_vm>();
    if address.address_family() != rustix::net::AddressFamily::VSOCK || !is_whole {
        return None;
    }
    // SAFETY: the kernel wrote such an address, and all of it.
    let address = unsafe { address.as_ptr().cast::<libc::sockaddr_vm>().read_unaligned() };
    Some(Party::Vsock { cid: address.svm_cid, port: address.svm_port })
}
