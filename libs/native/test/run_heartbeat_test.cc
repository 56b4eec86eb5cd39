#include "clock.h"
#include "run/heartbeat.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "item.h"
#include "run/queued_item.h"

namespace interleave {
namespace {

constexpr std::size_t kSlots = 3;

// The page as the scheduler has it.
class Page {
 public:
  Page() : fd_(memfd_create("heartbeat", 0)) {
    if (ftruncate(fd_, kBytes) != 0) abort();
    words_ = static_cast<volatile std::uint64_t*>(mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd_, 0));
  }
  ~Page() {
    munmap(const_cast<std::uint64_t*>(words_), kBytes);
    close(fd_);
  }
  int fd() const { return fd_; }
  std::uint64_t beats() const { return words_[0]; }
  std::uint64_t culprit() const { return words_[1]; }
  std::uint64_t model(std::size_t slot) const { return words_[2 + 2 * slot]; }
  std::uint64_t since(std::size_t slot) const { return words_[3 + 2 * slot]; }

 private:
  static constexpr std::size_t kBytes = (2 + 2 * kSlots) * 8;
  int fd_;
  volatile std::uint64_t* words_;
};

// Their runtimes take fatal signals and forks of threaded processes for themselves.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_UNDER_SANITIZERS() GTEST_SKIP()
#else
#define SKIP_UNDER_SANITIZERS() static_cast<void>(0)
#endif

// Runs `body` in a process of its own; returns the signal that it died of, 0 for none.
int SignalOf(const std::function<void()>& body) {
  const pid_t pid = fork();
  if (pid == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

// The first one: handlers are installed once, with the first heartbeat of a process.
TEST(Heartbeat, LeavesAFaultToTheHandlerThatWasThereBefore) {
  SKIP_UNDER_SANITIZERS();
  const Page page;
  const int died = SignalOf([&page] {
    struct sigaction before {};
    before.sa_handler = [](int) { _exit(0); };
    sigaction(SIGSEGV, &before, nullptr);
    const Heartbeat heartbeat(page.fd(), kSlots);
    raise(SIGSEGV);
    abort();
  });
  EXPECT_EQ(died, 0);
}

constexpr std::uint64_t In(Phase phase, std::uint64_t model) { return model | static_cast<std::uint64_t>(phase) << 32; }

TEST(Heartbeat, Beats) {
  const Page page;
  const Heartbeat heartbeat(page.fd(), kSlots);
  while (page.beats() < 3) std::this_thread::yield();
}

TEST(Heartbeat, ShowsWhatEachSlotIsBusyWith) {
  const Page page;
  Heartbeat heartbeat(page.fd(), kSlots);
  const std::int64_t beforeNs = MonotonicNowNs();
  {
    Heartbeat::Activity activity(heartbeat, 1, 4, Phase::kLoading);
    EXPECT_EQ(page.model(1), In(Phase::kLoading, 4));
    activity.Enter(Phase::kProbing);
    EXPECT_EQ(page.model(1), In(Phase::kProbing, 4));
    EXPECT_GE(static_cast<std::int64_t>(page.since(1)), beforeNs);
    EXPECT_LE(static_cast<std::int64_t>(page.since(1)), MonotonicNowNs());
    EXPECT_EQ(page.model(0), 0u);
  }
  EXPECT_EQ(page.model(1), 0u);
}

TEST(Heartbeat, NamesTheModelWhoseThreadDies) {
  SKIP_UNDER_SANITIZERS();
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE}) {
    const Page page;
    const int died = SignalOf([&page, signal] {
      Heartbeat heartbeat(page.fd(), kSlots);
      const Heartbeat::Activity innocent(heartbeat, 0, 7, Phase::kRunning);
      std::thread([&heartbeat, signal] {
        const Heartbeat::Activity activity(heartbeat, 1, 4, Phase::kRunning);
        raise(signal);
      }).join();
    });
    EXPECT_EQ(died, signal);
    EXPECT_EQ(page.culprit(), 4u) << "signal " << signal;
    EXPECT_EQ(page.model(0), 7u) << "what else ran stays visible";
  }
}

// Of an item: whether it was called guilty can be seen after the process has died.
class MarkedResponder final : public Responder {
 public:
  explicit MarkedResponder(volatile bool* isGuilty) : isGuilty_(isGuilty) {}
  void MarkRunning() override {}
  void MarkGuilty() override { *isGuilty_ = true; }
  std::byte* AddOutput(std::uint16_t, ElementType, const Shape&, std::size_t) override { return nullptr; }
  void Finish(const ItemTimes&) override {}
  void Fail(ItemStatus, std::string_view) override {}

 private:
  volatile bool* const isGuilty_;
};

TEST(Heartbeat, CallsTheItemsGuiltyOfWhoseRunAThreadDies) {
  SKIP_UNDER_SANITIZERS();
  const Page page;
  constexpr std::size_t kItems = 3;
  auto* isGuilty =
      static_cast<volatile bool*>(mmap(nullptr, kItems, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const int died = SignalOf([&page, isGuilty] {
    Heartbeat heartbeat(page.fd(), kSlots);
    std::vector<QueuedItem> items(kItems);
    std::vector<QueuedItem*> members;
    for (std::size_t i = 0; i < kItems; ++i) {
      items[i].item.responder = std::make_unique<MarkedResponder>(isGuilty + i);
      members.push_back(&items[i]);
    }
    Heartbeat::Activity beside(heartbeat, 0, 4, Phase::kRunning);
    beside.Run(std::span(members).first(1));
    std::thread([&heartbeat, &members] {
      Heartbeat::Activity activity(heartbeat, 1, 4, Phase::kRunning);
      activity.Run(std::span(members).last(2));
      raise(SIGFPE);
    }).join();
  });
  EXPECT_EQ(died, SIGFPE);
  EXPECT_FALSE(isGuilty[0]);
  EXPECT_TRUE(isGuilty[1]);
  EXPECT_TRUE(isGuilty[2]);
  munmap(const_cast<bool*>(isGuilty), kItems);
}

TEST(Heartbeat, NamesTheModelOfTheRunThatAHelperComputesFor) {
  SKIP_UNDER_SANITIZERS();
  for (const std::size_t leader : {1, 2}) {
    const Page page;
    const int died = SignalOf([&page, leader] {
      Heartbeat heartbeat(page.fd(), kSlots);
      const Heartbeat::Activity other(heartbeat, leader == 1 ? 2 : 0, 7, Phase::kRunning);
      const Heartbeat::Activity activity(heartbeat, 1, 4, Phase::kProbing);
      std::thread([&heartbeat, leader] {
        heartbeat.Help(4, leader);
        raise(SIGSEGV);
      }).join();
    });
    EXPECT_EQ(died, SIGSEGV);
    EXPECT_EQ(page.culprit(), In(Phase::kProbing, 4)) << "slot " << leader;
  }
}

TEST(Heartbeat, NamesNobodyWhenAThreadWithoutAModelDies) {
  SKIP_UNDER_SANITIZERS();
  const Page page;
  const int died = SignalOf([&page] {
    Heartbeat heartbeat(page.fd(), kSlots);
    std::thread([&heartbeat] {
      { const Heartbeat::Activity over(heartbeat, 1, 4, Phase::kRunning); }
      abort();
    }).join();
  });
  EXPECT_EQ(died, SIGABRT);
  EXPECT_EQ(page.culprit(), 0u);
}

TEST(Heartbeat, BlamesWhatASlotIsBusyWith) {
  const Page page;
  Heartbeat heartbeat(page.fd(), kSlots);
  const Heartbeat::Activity activity(heartbeat, 2, 6, Phase::kMeasuring);
  heartbeat.Blame(2);
  EXPECT_EQ(page.culprit(), In(Phase::kMeasuring, 6));
}

}  // namespace
}  // namespace interleave
