// Helpers of the channel tests: a private socket path, a client that waits for its answers.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "channel/client.h"
#include "channel/server.h"
#include "clock.h"
#include "echo_sink.h"

namespace interleave {

// A new directory, removed on destruction.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "channel-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string socketPath() const { return path_ + "/worker.sock"; }

 private:
  std::string path_;
};

// A socket connected to `path`, without a handshake.
inline void Connect(const Fd& fd, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

inline Fd RawConnect(const std::string& path) {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Connect(fd, path);
  return fd;
}

// The seed of a random test, printed: CHANNEL_TEST_SEED, or a new one. `--gtest_repeat=20` runs a test with 20 new
// seeds.
inline std::uint64_t TestSeed() {
  const char* given = std::getenv("CHANNEL_TEST_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : static_cast<std::uint64_t>(MonotonicNowNs());
  std::printf("CHANNEL_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

inline TensorView MakeTensor(std::uint16_t index, ElementType type, std::vector<std::int64_t> dims, const void* data,
                             std::size_t bytes) {
  TensorView tensor;
  tensor.index = index;
  tensor.type = type;
  tensor.shape.rank = static_cast<std::uint8_t>(dims.size());
  std::copy(dims.begin(), dims.end(), tensor.shape.dims.begin());
  tensor.data = static_cast<const std::byte*>(data);
  tensor.bytes = bytes;
  return tensor;
}

// An echo of `text`. The text must outlive the submission.
inline Request EchoRequest(const std::string& text, std::uint64_t responseBytes = 4096) {
  Request request;
  request.revision = 1;
  request.responseBytes = responseBytes;
  request.inputs.push_back(
      MakeTensor(0, ElementType::kUint8, {static_cast<std::int64_t>(text.size())}, text.data(), text.size()));
  return request;
}

// A command to revision 2. `words` must outlive the submission.
inline Request CommandRequest(const std::int64_t (&words)[2], std::uint64_t responseBytes = 4096) {
  Request request;
  request.revision = 2;
  request.responseBytes = responseBytes;
  request.inputs.push_back(MakeTensor(0, ElementType::kInt64, {2}, words, sizeof words));
  return request;
}

// What a completion said, copied out of the arena.
struct Answer {
  std::uint64_t itemId = 0;
  ItemStatus status = ItemStatus::kOk;
  std::string message;
  std::vector<std::string> outputs;
};

inline Answer TakeAnswer(ChannelClient& client, const ChannelClient::Completion& completion) {
  Answer answer{completion.itemId, completion.response.status, completion.response.message, {}};
  for (const TensorView& output : completion.response.outputs) {
    answer.outputs.emplace_back(reinterpret_cast<const char*>(output.data), output.bytes);
  }
  client.FreeCompletion(completion.itemId);
  return answer;
}

// Reads the socket until something comes. False when the worker closed it.
inline bool WaitForBytes(ChannelClient& client, std::vector<std::string>& texts) {
  pollfd entry{client.socket(), POLLIN, 0};
  if (poll(&entry, 1, 30'000) <= 0) {
    ADD_FAILURE() << "nothing came over the socket";
    return false;
  }
  char buffer[4096];
  const long received = recv(client.socket(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (received <= 0) return false;
  client.Receive({buffer, static_cast<std::size_t>(received)}, texts);
  return true;
}

// The next answer; sleeps until the worker rings. An id of 0: the worker closed the channel.
inline Answer NextAnswer(ChannelClient& client) {
  std::vector<std::string> texts;
  for (;;) {
    if (const auto completion = client.NextCompletion()) return TakeAnswer(client, *completion);
    if (!WaitForBytes(client, texts)) return {};
  }
}

inline std::unique_ptr<ChannelClient> ConnectTo(const std::string& socketPath, std::uint32_t itemsMax = 64,
                                                std::uint64_t arenaBytes = 1 << 20) {
  return ChannelClient::Connect({socketPath, arenaBytes, itemsMax, std::chrono::milliseconds(10'000)});
}

// What this process holds; compared before and after to find leaks.
struct Holdings {
  std::size_t descriptors = 0;
  std::size_t regions = 0;  // mappings of channel regions
  bool operator==(const Holdings&) const = default;
};

inline Holdings CountHoldings() {
  Holdings holdings;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++holdings.descriptors;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    holdings.regions += line.find("memfd:interleave-channel") != std::string::npos ? 1 : 0;
  return holdings;
}

// Waits until this process holds exactly `wanted`: other threads let go a moment after they were told to.
inline void ExpectHoldings(const Holdings& wanted) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (CountHoldings() != wanted && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(CountHoldings().descriptors, wanted.descriptors);
  EXPECT_EQ(CountHoldings().regions, wanted.regions);
}

// Waits until every item is accounted for: a client can see its answer a moment before the server has counted it.
inline void ExpectIdle(const ChannelServer& server) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (server.Stats().itemsInFlight != 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(server.Stats().itemsInFlight, 0u);
}

}  // namespace interleave
