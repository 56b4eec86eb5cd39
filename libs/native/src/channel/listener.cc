#include "channel/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace interleave {
namespace {

constexpr int kBacklog = 64;
constexpr std::size_t kLengthBytes = sizeof(std::uint32_t);

[[noreturn]] void ThrowErrno(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace

Fd ListenAt(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    throw std::system_error(ENAMETOOLONG, std::generic_category(), "socket path " + path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener.valid()) ThrowErrno("socket");
  if (unlink(path.c_str()) != 0 && errno != ENOENT) ThrowErrno("unlink " + path);
  // The mode of the file comes from that of the unbound socket, so it is never open to others, not even for a moment.
  if (fchmod(listener.get(), 0600) != 0) ThrowErrno("fchmod");
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    ThrowErrno("bind " + path);
  if (chmod(path.c_str(), 0600) != 0) ThrowErrno("chmod " + path);
  if (listen(listener.get(), kBacklog) != 0) ThrowErrno("listen " + path);
  return listener;
}

Handshake::Progress Handshake::Read(Region& region) {
  std::array<char, kLengthBytes + kHelloBytesMax> buffer;
  bool truncated = false;
  const long received = ReceiveWithFds(socket_.get(), buffer.data(), buffer.size(), fds_, truncated);
  if (received == 0) return Refuse("closed before hello");
  if (received < 0) return errno == EAGAIN || errno == EINTR ? Progress::kMore : Refuse("connection lost before hello");
  if (truncated || fds_.size() > 1) return Refuse("hello came with more than one descriptor");
  bytes_.append(buffer.data(), static_cast<std::size_t>(received));
  if (bytes_.size() < kLengthBytes) return Progress::kMore;
  std::uint32_t length = 0;
  std::memcpy(&length, bytes_.data(), sizeof length);
  if (length < 2 * sizeof(std::uint32_t) || length > kHelloBytesMax) return Refuse("hello has an impossible length");
  if (bytes_.size() < kLengthBytes + length) return Progress::kMore;
  if (bytes_.size() > kLengthBytes + length) return Refuse("bytes after hello");
  return Check(region);
}

Handshake::Progress Handshake::Check(Region& region) {
  Hello hello{};
  // Magic and version come first in every version.
  const std::size_t bytes = bytes_.size() - kLengthBytes;
  std::memcpy(static_cast<void*>(&hello), bytes_.data() + kLengthBytes, std::min(bytes, sizeof hello));
  if (hello.magic != kMessageMagic) return Refuse("not a channel client");
  if (hello.version != kChannelVersion) {
    return Refuse("this worker speaks channel version " + std::to_string(kChannelVersion) + " but the client speaks " +
                  std::to_string(hello.version) + "; run the same build everywhere");
  }
  if (bytes != sizeof hello) return Refuse("hello has the wrong length");
  pid_ = hello.pid;
  if (fds_.empty()) return Refuse("hello came without a region");
  region = Region::Open(fds_.front(), {hello.regionBytes, hello.ringCapacity}, error_);
  fds_.clear();
  return region.valid() ? Progress::kDone : Progress::kFailed;
}

Handshake::Progress Handshake::Refuse(std::string error) {
  error_ = std::move(error);
  return Progress::kFailed;
}

}  // namespace interleave
