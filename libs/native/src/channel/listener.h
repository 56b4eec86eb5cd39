#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "channel/fd.h"
#include "channel/messages.h"
#include "channel/region.h"

namespace interleave {

// A listening Unix socket with mode 0600 at `path`; replaces a stale file. Throws std::system_error.
Fd ListenAt(const std::string& path);

// A client that has connected and not yet said hello. I/O thread only.
class Handshake {
 public:
  Handshake(Fd socket, std::int64_t deadlineNs) : socket_(std::move(socket)), deadlineNs_(deadlineNs) {}

  enum class Progress { kMore, kDone, kFailed };
  // Call when the socket is readable. After kDone `region` holds the client's region; after kFailed `error()` says why.
  Progress Read(Region& region);
  const std::string& error() const { return error_; }
  std::int64_t deadlineNs() const { return deadlineNs_; }
  int socket() const { return socket_.get(); }
  // As the client said it; 0 before hello.
  std::uint32_t pid() const { return pid_; }
  Fd TakeSocket() { return std::move(socket_); }

 private:
  Progress Check(Region& region);
  Progress Refuse(std::string error);

  Fd socket_;
  std::int64_t deadlineNs_;
  std::uint32_t pid_ = 0;
  std::string bytes_;
  std::vector<Fd> fds_;
  std::string error_;
};

}  // namespace interleave
