// A doorbell may come late: its cells were taken already when the peer looked at the sleep word. The sleeper that finds
// nothing then must start a new sleep, because the peer rings no second time for the old one.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "channel/listener.h"
#include "channel_harness.h"

namespace interleave {
namespace {

constexpr char kDoorbell = static_cast<char>(kFrameDoorbell);

std::uint64_t SleepNumber(std::uint64_t& word) { return std::atomic_ref(word).load(); }

Fd AcceptOne(const Fd& listener) {
  pollfd entry{listener.get(), POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 30'000), 1);
  return Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

// The worker's end of a channel, by hand: reads the hello and welcomes.
Region Welcome(Handshake& handshake) {
  Region region;
  while (handshake.Read(region) == Handshake::Progress::kMore) std::this_thread::yield();
  const std::string welcome = EncodeWelcome(WelcomeStatus::kAccepted, "by hand");
  EXPECT_EQ(send(handshake.socket(), welcome.data(), welcome.size(), MSG_NOSIGNAL), static_cast<long>(welcome.size()));
  return region;
}

TEST(ChannelWakeUp, AClientThatWasRungForNothingStartsANewSleep) {
  const TempDir dir;
  const Fd listener = ListenAt(dir.socketPath());
  std::unique_ptr<ChannelClient> client;
  std::thread connecting([&] { client = ConnectTo(dir.socketPath()); });
  Handshake handshake(AcceptOne(listener), 0);
  const Region region = Welcome(handshake);
  connecting.join();
  ASSERT_TRUE(region.valid());
  const std::uint64_t before = SleepNumber(region.header()->clientSleep.word);
  std::vector<std::string> texts;
  client->Receive({&kDoorbell, 1}, texts);
  EXPECT_FALSE(client->NextCompletion().has_value());
  const std::uint64_t after = SleepNumber(region.header()->clientSleep.word);
  EXPECT_NE(after, before);
  EXPECT_EQ(after % 2, 1u) << "awake although there is nothing to take";
}

TEST(ChannelWakeUp, AWorkerThatWasRungForNothingStartsANewSleep) {
  const TempDir dir;
  EchoSink sink(1);
  const ChannelServer server({dir.socketPath(), 64, std::chrono::milliseconds(5000), {}}, sink, "hello");
  const Fd socket = RawConnect(dir.socketPath());
  Fd memory;
  const Region region = Region::Create(8, 64 << 10, memory);
  const Hello hello{kMessageMagic, kChannelVersion, 1, region.size().ringCapacity, region.size().regionBytes};
  ASSERT_TRUE(SendMessage(socket.get(), {reinterpret_cast<const char*>(&hello), sizeof hello}, memory));
  char welcome[25];  // length, Welcome, "hello"
  ASSERT_EQ(recv(socket.get(), welcome, sizeof welcome, MSG_WAITALL), 25);
  std::uint64_t& word = region.header()->workerSleep.word;
  const std::uint64_t before = SleepNumber(word);
  ASSERT_EQ(send(socket.get(), &kDoorbell, 1, MSG_NOSIGNAL), 1);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  const auto isNew = [&] { return SleepNumber(word) != before && SleepNumber(word) % 2 == 1; };
  while (!isNew() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(isNew());
}

}  // namespace
}  // namespace interleave
