#include "channel/messages.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "channel/layout.h"

namespace interleave {
namespace {

constexpr std::size_t kFrameHeaderBytes = 1 + sizeof(std::uint32_t);

void AppendLength(std::string& target, std::size_t bytes) {
  const auto length = static_cast<std::uint32_t>(bytes);
  target.append(reinterpret_cast<const char*>(&length), sizeof length);
}

}  // namespace

std::string EncodeWelcome(WelcomeStatus status, std::string_view text) {
  const Welcome welcome{kMessageMagic, kChannelVersion, status, 0};
  std::string message;
  AppendLength(message, sizeof welcome + text.size());
  message.append(reinterpret_cast<const char*>(&welcome), sizeof welcome);
  message.append(text);
  return message;
}

std::string EncodeTextFrame(std::string_view text) {
  std::string frame(1, static_cast<char>(kFrameText));
  AppendLength(frame, text.size());
  frame.append(text);
  return frame;
}

bool FrameParser::Push(std::string_view bytes, std::vector<std::string>& texts) {
  // The common case: nothing but doorbells.
  while (pending_.empty() && !bytes.empty() && bytes.front() == static_cast<char>(kFrameDoorbell))
    bytes.remove_prefix(1);
  pending_.append(bytes);
  while (!pending_.empty()) {
    const auto kind = static_cast<std::uint8_t>(pending_.front());
    if (kind == kFrameDoorbell) {
      pending_.erase(0, 1);
      continue;
    }
    if (kind != kFrameText) return false;
    if (pending_.size() < kFrameHeaderBytes) return true;
    std::uint32_t length = 0;
    std::memcpy(&length, pending_.data() + 1, sizeof length);
    if (length > kTextBytesMax) return false;
    if (pending_.size() < kFrameHeaderBytes + length) return true;
    texts.push_back(pending_.substr(kFrameHeaderBytes, length));
    pending_.erase(0, kFrameHeaderBytes + length);
  }
  return true;
}

long ReceiveWithFds(int socket, void* buffer, std::size_t bytes, std::vector<Fd>& fds, bool& truncated) {
  iovec part{buffer, bytes};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const long received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (received < 0) return received;
  truncated = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* entry = CMSG_FIRSTHDR(&message); entry != nullptr; entry = CMSG_NXTHDR(&message, entry)) {
    if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_RIGHTS) continue;
    // Alignment may leave room for more than the one descriptor that was meant: own whatever the kernel installed.
    const std::size_t count = (entry->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(entry) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return received;
}

bool SendMessage(int socket, std::string_view message, const Fd& fd) {
  std::string bytes;
  AppendLength(bytes, message.size());
  bytes.append(message);
  iovec part{bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd.valid()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* entry = CMSG_FIRSTHDR(&header);
    entry->cmsg_level = SOL_SOCKET;
    entry->cmsg_type = SCM_RIGHTS;
    entry->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd.get();
    std::memcpy(CMSG_DATA(entry), &number, sizeof number);
  }
  // Small next to any socket buffer, so it is taken whole or not at all.
  return sendmsg(socket, &header, MSG_NOSIGNAL) == static_cast<long>(bytes.size());
}

}  // namespace interleave
