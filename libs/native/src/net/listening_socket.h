// A listening TCP socket that outlives the process that accepts on it: connections that come while that process is
// replaced wait in the kernel's queue instead of being refused.
#pragma once

#include <string>

namespace interleave {

struct ListenAddress {
  std::string ip;  // numeric, IPv4 or IPv6
  int port = 0;    // 0: the kernel chooses
};

// Returns a non-blocking descriptor that is closed on exec; the caller owns it. Throws std::system_error with the
// kernel's error (EADDRINUSE, EACCES, EADDRNOTAVAIL), std::invalid_argument for an address that is not numeric.
int OpenListeningSocket(const ListenAddress& address, int backlog);

// A copy of descriptor `fd` of another process of this user (pidfd_getfd(2), Linux 5.6); the caller owns it. Throws
// std::system_error where the kernel or a sandbox does not allow it.
int CopyDescriptor(int pid, int fd);

}  // namespace interleave
