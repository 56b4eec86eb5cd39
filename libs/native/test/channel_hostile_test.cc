// Clients that lie. Whatever they do, the worker drops them, frees what was theirs and goes on serving the others.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <random>

#include "channel/messages.h"
#include "channel_harness.h"

namespace interleave {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kCapacity = 8;
constexpr std::uint64_t kArenaBytes = 64 << 10;

constexpr long kWelcomeBytes = 25;  // length, Welcome, "hello"

std::string Bytes(const Hello& hello) { return {reinterpret_cast<const char*>(&hello), sizeof hello}; }

Hello HelloFor(const Region& region) {
  return {kMessageMagic, kChannelVersion, 1, region.size().ringCapacity, region.size().regionBytes};
}

// Everything that comes until the worker closes the connection.
std::string ReadUntilClosed(const Fd& socket) {
  std::string all;
  char buffer[4096];
  for (;;) {
    pollfd entry{socket.get(), POLLIN, 0};
    if (poll(&entry, 1, 30'000) <= 0) {
      ADD_FAILURE() << "the worker did not close the connection";
      return all;
    }
    const long received = recv(socket.get(), buffer, sizeof buffer, 0);
    if (received <= 0) return all;
    all.append(buffer, static_cast<std::size_t>(received));
  }
}

class ChannelHostileTest : public ::testing::Test {
 protected:
  ChannelHostileTest()
      : sink_(2),
        server_({dir_.socketPath(), 64, milliseconds(200), [this](std::string_view line) { Log(line); }}, sink_,
                "hello"),
        before_(CountHoldings()) {}

  // The worker still serves, and nothing of the hostile client is left.
  void ExpectUnharmed() {
    const std::string text = "still there?";
    {
      auto client = ConnectTo(dir_.socketPath());
      std::vector<std::uint64_t> ids;
      ASSERT_TRUE(client->Submit(std::vector{EchoRequest(text)}, ids));
      EXPECT_EQ(NextAnswer(*client).outputs.at(0), text);
    }
    ExpectHoldings(before_);
    ExpectIdle(server_);
  }

  static void ExpectServed(ChannelClient& client) {
    for (int i = 0; i < 100; ++i) {
      const std::string text = "item " + std::to_string(i);
      std::vector<std::uint64_t> ids;
      ASSERT_TRUE(client.Submit(std::vector{EchoRequest(text)}, ids));
      ASSERT_EQ(NextAnswer(client).outputs, std::vector{text});
    }
  }

  // Sends a hello and expects a refusal that says `reason`.
  void ExpectRefused(std::string_view message, const Fd& fd, const std::string& reason) {
    Fd socket = RawConnect(dir_.socketPath());
    SendMessage(socket.get(), message, fd);
    const std::string reply = ReadUntilClosed(socket);
    EXPECT_NE(reply.find(reason), std::string::npos) << reply;
  }

  // A client after an honest handshake, with its hands on the region.
  struct Intruder {
    Fd socket;
    Region region;
    RegionHeader& header() const { return *region.header(); }
    void WriteCell(std::uint64_t position, const SubmissionCell& cell) const {
      CopyOut(region.submissionCells() + position % (2 * kCapacity) * sizeof cell, cell);
    }
    void Publish(std::uint64_t tail) const {
      std::atomic_ref(header().submissionTail.word).store(tail);
      Ring(static_cast<char>(kFrameDoorbell));
    }
    void Ring(char byte) const { send(socket.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT); }
  };

  Intruder Enter() {
    Intruder intruder;
    Fd memory;
    intruder.region = Region::Create(kCapacity, kArenaBytes, memory);
    intruder.socket = RawConnect(dir_.socketPath());
    SendMessage(intruder.socket.get(), Bytes(HelloFor(intruder.region)), memory);
    char welcome[kWelcomeBytes];
    EXPECT_EQ(recv(intruder.socket.get(), welcome, sizeof welcome, MSG_WAITALL), kWelcomeBytes);
    return intruder;
  }

  // A cell whose request block is well formed. Eight ids in a row have blocks of their own.
  SubmissionCell GoodCell(const Intruder& intruder, std::uint64_t itemId) {
    const std::string text = "fine";
    const Request request = EchoRequest(text);
    const std::uint64_t bytes = AlignUp(RequestBytes(request), kLineBytes);
    const std::uint64_t slot = itemId % 8;
    WriteRequest({intruder.region.arena() + slot * 512, bytes}, itemId, request);
    return {itemId, slot * 512, bytes, 8192 + slot * 4096, 4096, CellKind::kSubmit, 0};
  }

  void ExpectDropped(const Intruder& intruder, const std::string& reason) {
    ReadUntilClosed(intruder.socket);
    const std::lock_guard lock(logMutex_);
    EXPECT_NE(log_.find(reason), std::string::npos) << log_;
  }

  void Log(std::string_view line) {
    const std::lock_guard lock(logMutex_);
    log_.append(line).append("\n");
  }

  TempDir dir_;
  std::mutex logMutex_;
  std::string log_;
  EchoSink sink_;
  ChannelServer server_;
  const Holdings before_;
};

TEST_F(ChannelHostileTest, GarbageInsteadOfHello) {
  std::mt19937_64 random(TestSeed());
  for (int run = 0; run < 200; ++run) {
    Fd socket = RawConnect(dir_.socketPath());
    std::string garbage(random() % 300, '\0');
    for (char& byte : garbage) byte = static_cast<char>(random());
    send(socket.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
    shutdown(socket.get(), SHUT_WR);
    ReadUntilClosed(socket);
  }
  ExpectUnharmed();
}

TEST_F(ChannelHostileTest, AHelloWithoutItsEnd) {
  for (std::size_t bytes = 0; bytes < 4 + sizeof(Hello); ++bytes) {
    std::string message(28, '\0');
    message[0] = sizeof(Hello);
    Fd socket = RawConnect(dir_.socketPath());
    send(socket.get(), message.data(), bytes, MSG_NOSIGNAL);
  }
  ExpectUnharmed();
}

TEST_F(ChannelHostileTest, ASilentClientIsNotWaitedForForEver) {
  const Fd socket = RawConnect(dir_.socketPath());
  ReadUntilClosed(socket);
  ExpectHoldings({before_.descriptors + 1, before_.regions});  // ours
}

TEST_F(ChannelHostileTest, AHelloThatIsWrong) {
  {
    Fd memory;
    const Region region = Region::Create(kCapacity, kArenaBytes, memory);
    Hello hello = HelloFor(region);
    hello.version = kChannelVersion + 1;
    ExpectRefused(Bytes(hello), memory, "channel version");
    hello = HelloFor(region);
    hello.magic = 1;
    ExpectRefused(Bytes(hello), memory, "not a channel client");
    hello = HelloFor(region);
    hello.ringCapacity = 6;
    ExpectRefused(Bytes(hello), memory, "size is not acceptable");
    hello.ringCapacity = 16;
    hello.regionBytes = ~std::uint64_t{4095};
    ExpectRefused(Bytes(hello), memory, "size is not acceptable");
    hello.regionBytes = HelloFor(region).regionBytes + 4096;
    ExpectRefused(Bytes(hello), memory, "bytes but received");
    hello = HelloFor(region);
    hello.ringCapacity = 4;
    ExpectRefused(Bytes(hello), memory, "header does not agree");
    ExpectRefused(Bytes(HelloFor(region)) + "x", memory, "wrong length");
    ExpectRefused(Bytes(HelloFor(region)), Fd(), "without a region");
  }
  ExpectUnharmed();
}

TEST_F(ChannelHostileTest, ARegionThatCouldShrinkUnderTheWorker) {
  {
    Fd sealed;
    const Region region = Region::Create(kCapacity, kArenaBytes, sealed);
    const Fd unsealed(memfd_create("interleave-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(ftruncate(unsealed.get(), static_cast<off_t>(region.size().regionBytes)), 0);
    ExpectRefused(Bytes(HelloFor(region)), unsealed, "sealed");
    const Fd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    ExpectRefused(Bytes(HelloFor(region)), file, "sealed");
  }
  ExpectUnharmed();
}

TEST_F(ChannelHostileTest, ARegionThatCannotBeWritten) {
  const Fd memory(memfd_create("interleave-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const RegionSize size{LayoutFor(kCapacity).arenaOffset + kArenaBytes, kCapacity};
  ASSERT_EQ(ftruncate(memory.get(), static_cast<off_t>(size.regionBytes)), 0);
  ASSERT_EQ(fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
  ExpectRefused(Bytes({kMessageMagic, kChannelVersion, 1, size.ringCapacity, size.regionBytes}), memory,
                "cannot be mapped");
}

TEST_F(ChannelHostileTest, MoreDescriptorsThanAsked) {
  {
    Fd memory;
    const Region region = Region::Create(kCapacity, kArenaBytes, memory);
    const Fd socket = RawConnect(dir_.socketPath());
    const std::string hello = Bytes(HelloFor(region));
    constexpr int kCount = 20;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kCount * sizeof(int))> control{};
    iovec part{const_cast<char*>(hello.data()), hello.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* entry = CMSG_FIRSTHDR(&message);
    *entry = {CMSG_LEN(kCount * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    for (int i = 0; i < kCount; ++i) {
      const int fd = memory.get();
      std::memcpy(CMSG_DATA(entry) + static_cast<std::size_t>(i) * sizeof fd, &fd, sizeof fd);
    }
    ASSERT_GT(sendmsg(socket.get(), &message, MSG_NOSIGNAL), 0);
    EXPECT_NE(ReadUntilClosed(socket).find("more than one descriptor"), std::string::npos);
  }
  ExpectUnharmed();
}

TEST_F(ChannelHostileTest, SomethingElseThanADoorbell) {
  {
    const Intruder intruder = Enter();
    intruder.Ring('x');
    ReadUntilClosed(intruder.socket);
  }
  ExpectUnharmed();
}

TEST_F(ChannelHostileTest, ARingPositionThatIsImpossible) {
  for (const std::uint64_t tail : {std::uint64_t{17}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    const Intruder intruder = Enter();
    intruder.Publish(tail);
    ExpectDropped(intruder, "ring is inconsistent");
  }
  ExpectUnharmed();
}

TEST_F(ChannelHostileTest, CellsThatAreWrong) {
  const auto expect = [&](const char* reason, auto change) {
    const Intruder intruder = Enter();
    SubmissionCell cell = GoodCell(intruder, 8);
    change(intruder, cell);
    intruder.WriteCell(0, cell);
    intruder.Publish(1);
    ExpectDropped(intruder, reason);
  };
  const char* outside = "outside the arena";
  const char* malformed = "malformed request";
  expect("unknown kind", [](const Intruder&, SubmissionCell& cell) { cell.kind = static_cast<CellKind>(9); });
  expect(outside, [](const Intruder&, SubmissionCell& cell) { cell.requestOffset = kArenaBytes; });
  expect(outside, [](const Intruder&, SubmissionCell& cell) { cell.requestOffset = ~std::uint64_t{63}; });
  expect(outside, [](const Intruder&, SubmissionCell& cell) { cell.requestBytes = ~std::uint64_t{63}; });
  expect(outside, [](const Intruder&, SubmissionCell& cell) { cell.requestBytes = 0; });
  expect(outside, [](const Intruder&, SubmissionCell& cell) { cell.responseOffset = 32; });
  expect(outside, [](const Intruder&, SubmissionCell& cell) { cell.responseBytes = 64; });
  expect(outside, [](const Intruder&, SubmissionCell& cell) { cell.responseBytes = kArenaBytes; });
  expect(malformed, [](const Intruder&, SubmissionCell& cell) { cell.itemId = 2; });
  expect(malformed, [](const Intruder& intruder, SubmissionCell&) {
    reinterpret_cast<RequestHeader*>(intruder.region.arena())->inputCount = 0xffff;
  });
  expect(malformed, [](const Intruder& intruder, SubmissionCell&) {
    reinterpret_cast<TensorDescriptor*>(intruder.region.arena() + sizeof(RequestHeader))->dataOffset = std::uint64_t{1}
                                                                                                       << 40;
  });
  ExpectUnharmed();
}

TEST_F(ChannelHostileTest, MoreItemsThanTheRingHolds) {
  {
    const Intruder intruder = Enter();
    for (std::uint64_t i = 0; i < kCapacity; ++i) intruder.WriteCell(i, GoodCell(intruder, i));
    SubmissionCell surplus{};
    surplus.kind = CellKind::kSubmit;
    intruder.WriteCell(kCapacity, surplus);
    intruder.Publish(kCapacity + 1);
    ExpectDropped(intruder, "more items in flight");
  }
  ExpectUnharmed();
}

TEST_F(ChannelHostileTest, AnswersThatWereNeverGivenAreAcknowledged) {
  {
    const Intruder intruder = Enter();
    std::atomic_ref(intruder.header().completionHead.word).store(5);
    intruder.WriteCell(0, GoodCell(intruder, 1));
    intruder.Publish(1);
    ExpectDropped(intruder, "more items in flight");
  }
  ExpectUnharmed();
}

// A client that never stops ringing costs the I/O thread its turn, not every turn.
TEST_F(ChannelHostileTest, DoorbellsWithoutEnd) {
  {
    const auto honest = ConnectTo(dir_.socketPath());
    const Intruder intruder = Enter();
    const std::string doorbells(1 << 16, static_cast<char>(kFrameDoorbell));
    std::vector<std::thread> ringers;
    for (int i = 0; i < 16; ++i) {
      ringers.emplace_back([&] {
        while (send(intruder.socket.get(), doorbells.data(), doorbells.size(), MSG_NOSIGNAL) > 0) continue;
      });
    }
    ExpectServed(*honest);
    shutdown(intruder.socket.get(), SHUT_RDWR);
    for (std::thread& ringer : ringers) ringer.join();
  }
  ExpectUnharmed();
}

// Not even the spare descriptor can be had: newcomers wait, the others are served.
TEST_F(ChannelHostileTest, NoDescriptorLeftForANewcomer) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UBSan's check of virtual calls needs descriptors itself";
#endif
  {
    const auto honest = ConnectTo(dir_.socketPath());
    rlimit limit{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const Fd newcomer(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const rlimit none{3, limit.rlim_max};  // those three are open; poll() counts the limit as well
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    Connect(newcomer, dir_.socketPath());
    ExpectServed(*honest);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  ExpectUnharmed();
}

// Random bytes everywhere in the region while the worker works on it, with honest items in between.
TEST_F(ChannelHostileTest, ARegionThatIsScribbledOver) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "a client that gives one block to two items makes two executors write to it: garbage to garbage";
#endif
  std::mt19937_64 random(TestSeed());
  for (int run = 0; run < 300; ++run) {
    const Intruder intruder = Enter();
    std::uint64_t tail = 0;
    for (int step = 0; step < 30; ++step) {
      for (std::uint64_t i = 1 + random() % 3; i > 0; --i, ++tail) intruder.WriteCell(tail, GoodCell(intruder, tail));
      intruder.Publish(tail);
      const std::uint64_t range =
          random() % 3 == 0 ? intruder.region.size().regionBytes : LayoutFor(kCapacity).arenaOffset + 512;
      for (int i = 0; i < 4; ++i) {
        auto* words = reinterpret_cast<std::uint64_t*>(intruder.region.header());
        std::atomic_ref(words[random() % (range / 8)]).store(random() >> (random() % 64), std::memory_order_relaxed);
      }
    }
  }
  ExpectUnharmed();
}

}  // namespace
}  // namespace interleave
