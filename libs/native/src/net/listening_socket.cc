#include "net/listening_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <system_error>

#include "channel/fd.h"

namespace interleave {
namespace {

[[noreturn]] void ThrowErrno(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// Fills `storage`; returns the length of the address.
socklen_t Resolve(const ListenAddress& address, sockaddr_storage& storage) {
  auto* const v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* const v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  const auto port = htons(static_cast<std::uint16_t>(address.port));
  if (inet_pton(AF_INET, address.ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = port;
    return sizeof(*v4);
  }
  if (inet_pton(AF_INET6, address.ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = port;
    return sizeof(*v6);
  }
  throw std::invalid_argument("expected a numeric IP address but received " + address.ip);
}

void SetOption(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof(value)) != 0) ThrowErrno("setsockopt");
}

}  // namespace

int OpenListeningSocket(const ListenAddress& address, int backlog) {
  sockaddr_storage storage{};
  const socklen_t length = Resolve(address, storage);
  Fd socketFd(socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socketFd.valid()) ThrowErrno("socket");
  // As node does: connections of an earlier process in TIME_WAIT do not block the port; "::" takes IPv4 callers too.
  SetOption(socketFd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (storage.ss_family == AF_INET6) SetOption(socketFd.get(), IPPROTO_IPV6, IPV6_V6ONLY, address.ip == "::" ? 0 : 1);
  if (bind(socketFd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) ThrowErrno("bind");
  if (listen(socketFd.get(), backlog) != 0) ThrowErrno("listen");
  return socketFd.Release();
}

int CopyDescriptor(int pid, int fd) {
  const Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) ThrowErrno("pidfd_open");
  const int copy = static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), fd, 0));
  if (copy < 0) ThrowErrno("pidfd_getfd");
  return copy;
}

}  // namespace interleave
