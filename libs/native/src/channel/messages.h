// What travels over the channel's Unix socket.
//
//   client -> worker   u32 bytes, Hello with the region's descriptor (SCM_RIGHTS); then doorbells
//   worker -> client   u32 bytes, Welcome, text; then frames: doorbells and texts
//
// After the handshake each frame starts with its kind, so that a doorbell can come between two texts but never inside
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "channel/fd.h"

namespace interleave {

inline constexpr std::uint32_t kMessageMagic = 0x48434c49;  // "ILCH"

struct Hello {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint32_t pid;
  std::uint32_t ringCapacity;
  std::uint64_t regionBytes;
};
static_assert(sizeof(Hello) == 24);

enum class WelcomeStatus : std::uint32_t { kAccepted = 0, kRefused = 1 };

// Followed by text: what the worker says about itself, or why it refused.
struct Welcome {
  std::uint32_t magic;
  std::uint32_t version;
  WelcomeStatus status;
  std::uint32_t reserved;
};
static_assert(sizeof(Welcome) == 16);

inline constexpr std::uint8_t kFrameDoorbell = 1;  // no payload
inline constexpr std::uint8_t kFrameText = 2;      // u32 bytes, then that many bytes
inline constexpr std::size_t kHelloBytesMax = 4096;
inline constexpr std::size_t kTextBytesMax = 16u << 20;

std::string EncodeWelcome(WelcomeStatus status, std::string_view text);
std::string EncodeTextFrame(std::string_view text);

// Splits what a worker sends after the handshake. One thread.
class FrameParser {
 public:
  // Appends every complete text to `texts`. False when the bytes break the protocol; the parser is useless then.
  bool Push(std::string_view bytes, std::vector<std::string>& texts);

 private:
  std::string pending_;  // an incomplete frame
};

// recv() that also takes descriptors. The result is recv's; every descriptor that came is in `fds`, and `truncated` is
// set when more came than this process was willing to take.
long ReceiveWithFds(int socket, void* buffer, std::size_t bytes, std::vector<Fd>& fds, bool& truncated);

// Sends `message` with its length in front and, when valid, a descriptor. Blocking; false when the peer is gone.
bool SendMessage(int socket, std::string_view message, const Fd& fd);

}  // namespace interleave
