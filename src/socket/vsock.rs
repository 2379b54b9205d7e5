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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    /// As the kernel would have written it: most machines where this is tested
    /// have no vsock.
    fn written(family: libc::c_int, length: usize) -> SocketAddrAny {
        // SAFETY: any bytes are such an address.
        let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        let address = libc::sockaddr_vm {
            svm_family: family.try_into().unwrap(),
            svm_reserved1: 0,
            svm_port: 1234,
            svm_cid: 3,
            svm_zero: [0; 4],
        };
        // SAFETY: the storage is larger than any address and aligned for each,
        // and of what was written `length` bytes at most are announced.
        unsafe {
            (&raw mut storage).cast::<libc::sockaddr_vm>().write(address);
            SocketAddrAny::read((&raw const storage).cast(), length.try_into().unwrap())
        }
    }

    #[test]
    fn only_a_whole_address_of_a_machine_is_one() {
        let whole = size_of::<libc::sockaddr_vm>();
        let machine = Some(Party::Vsock { cid: 3, port: 1234 });
        assert_eq!(party(&written(libc::AF_VSOCK, whole)), machine);
        assert_eq!(party(&written(libc::AF_VSOCK, whole - 1)), None);
        assert_eq!(party(&written(libc::AF_INET, whole)), None);
    }

    #[test]
    fn a_socket_of_another_family_is_not_bound_to_a_machine() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(bind(listener.as_fd(), 3, 1234), Err(Errno::AFNOSUPPORT));
    }
}
