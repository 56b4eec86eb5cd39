#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "channel_harness.h"

namespace interleave {
namespace {

using std::chrono::milliseconds;

class ChannelServerTest : public ::testing::Test {
 protected:
  EchoSink& Start(int executors, bool open = true, std::uint32_t clientsMax = 64) {
    sink_ = std::make_unique<EchoSink>(executors, open);
    server_ = std::make_unique<ChannelServer>(
        ChannelServerOptions{dir_.socketPath(), clientsMax, milliseconds(5000), {}}, *sink_, "hello");
    return *sink_;
  }

  TempDir dir_;
  std::unique_ptr<EchoSink> sink_;
  std::unique_ptr<ChannelServer> server_;
};

TEST_F(ChannelServerTest, AnItemComesBack) {
  Start(1);
  auto client = ConnectTo(dir_.socketPath());
  EXPECT_EQ(client->welcomeText(), "hello");
  std::vector<std::uint64_t> ids;
  const std::string text = "ping";
  ASSERT_TRUE(client->Submit(std::vector{EchoRequest(text)}, ids));
  const Answer answer = NextAnswer(*client);
  EXPECT_EQ(answer.itemId, ids.at(0));
  EXPECT_EQ(answer.status, ItemStatus::kOk);
  EXPECT_EQ(answer.outputs, std::vector<std::string>{"ping"});
  EXPECT_EQ(client->freeBytes(), client->arenaBytes());
}

TEST_F(ChannelServerTest, TheSocketIsForItsOwnerOnly) {
  Start(1);
  struct stat status {};
  ASSERT_EQ(stat(dir_.socketPath().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(ChannelServerTest, AStaleSocketFileIsReplaced) {
  Start(1);
  EchoSink second(1);
  ChannelServer successor({dir_.socketPath(), 64, milliseconds(5000), {}}, second, "second");
  EXPECT_EQ(ConnectTo(dir_.socketPath())->welcomeText(), "second");
}

TEST_F(ChannelServerTest, ASubmissionIsTakenWholeOrNotAtAll) {
  EchoSink& sink = Start(1, false);
  auto client = ConnectTo(dir_.socketPath(), 4);
  const std::string text = "x";
  std::vector<std::uint64_t> ids;
  ASSERT_TRUE(client->Submit(std::vector(3, EchoRequest(text)), ids));
  EXPECT_FALSE(client->Submit(std::vector(2, EchoRequest(text)), ids));
  EXPECT_TRUE(client->Submit(std::vector(1, EchoRequest(text)), ids));
  sink.SetOpen(true);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(NextAnswer(*client).status, ItemStatus::kOk);
  EXPECT_TRUE(client->Submit(std::vector(4, EchoRequest(text)), ids));
}

TEST_F(ChannelServerTest, AFullArenaRefusesAndTakesAgainWhenAnswersWereRead) {
  EchoSink& sink = Start(1, false);
  auto client = ConnectTo(dir_.socketPath(), 64, 64 << 10);
  const std::string text(20 << 10, 'y');
  std::vector<std::uint64_t> ids;
  ASSERT_TRUE(client->Submit(std::vector{EchoRequest(text, 24 << 10)}, ids));
  EXPECT_FALSE(client->Submit(std::vector{EchoRequest(text, 24 << 10)}, ids));
  sink.SetOpen(true);
  EXPECT_EQ(NextAnswer(*client).outputs.at(0), text);
  EXPECT_TRUE(client->Submit(std::vector{EchoRequest(text, 24 << 10)}, ids));
}

std::int64_t SharedBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "RssShmem:") continue;
    std::int64_t kib = 0;
    status >> kib;
    return kib * 1024;
  }
  return -1;
}

TEST_F(ChannelServerTest, MemoryCostsNothingBeforeALargeItemAndGoesBackAfterIt) {
  constexpr std::size_t kBytes = 32U << 20;
  Start(1);
  const std::int64_t before = SharedBytes();
  auto client = ConnectTo(dir_.socketPath(), 64, std::uint64_t{256} << 20);
  EXPECT_LT(SharedBytes(), before + (1 << 20));
  const std::string text(kBytes, 'y');
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client->Submit(std::vector{EchoRequest(text, kBytes + (64U << 10))}, ids));
    EXPECT_GT(SharedBytes(), before + static_cast<std::int64_t>(kBytes) / 2);
    EXPECT_EQ(NextAnswer(*client).outputs.at(0), text);
    EXPECT_LT(SharedBytes(), before + (1 << 20));
  }
}

TEST_F(ChannelServerTest, WhatCanNeverFitIsAnErrorThatNamesTheItem) {
  Start(1);
  auto client = ConnectTo(dir_.socketPath(), 64, 64 << 10);
  const std::string text = "small";
  const std::string large(100 << 10, 'z');
  std::vector<std::uint64_t> ids;
  try {
    client->Submit(std::vector{EchoRequest(text), EchoRequest(large)}, ids);
    FAIL() << "expected an error";
  } catch (const ChannelError& error) {
    EXPECT_EQ(error.code(), ChannelErrorCode::kTooLarge);
    EXPECT_EQ(error.item(), 1);
  }
  EXPECT_EQ(client->freeBytes(), client->arenaBytes());
}

TEST_F(ChannelServerTest, ATensorWhoseBytesDoNotMatchItsShapeIsRefused) {
  Start(1);
  auto client = ConnectTo(dir_.socketPath());
  const std::string text = "four";
  Request request = EchoRequest(text);
  request.inputs[0].shape.dims[0] = 5;
  std::vector<std::uint64_t> ids;
  EXPECT_THROW(client->Submit(std::vector{request}, ids), ChannelError);
}

TEST_F(ChannelServerTest, AnOutputThatDoesNotFitSaysHowMuchItNeeds) {
  Start(1);
  auto client = ConnectTo(dir_.socketPath());
  const std::int64_t words[2] = {static_cast<std::int64_t>(EchoCommand::kOutput), 10'000};
  std::vector<std::uint64_t> ids;
  ASSERT_TRUE(client->Submit(std::vector{CommandRequest(words)}, ids));
  const Answer refused = NextAnswer(*client);
  ASSERT_EQ(refused.status, ItemStatus::kResponseTooLarge);
  const auto needed = ResponseBytesFor(1, std::stoull(refused.message));
  ASSERT_TRUE(client->Submit(std::vector{CommandRequest(words, needed)}, ids));
  EXPECT_EQ(NextAnswer(*client).outputs.at(0).size(), 10'000u);
}

TEST_F(ChannelServerTest, ADroppedItemIsAnsweredUnavailable) {
  Start(1);
  auto client = ConnectTo(dir_.socketPath());
  const std::int64_t words[2] = {static_cast<std::int64_t>(EchoCommand::kDrop), 0};
  std::vector<std::uint64_t> ids;
  ASSERT_TRUE(client->Submit(std::vector{CommandRequest(words)}, ids));
  EXPECT_EQ(NextAnswer(*client).status, ItemStatus::kUnavailable);
}

TEST_F(ChannelServerTest, AWaitingItemIsCancelled) {
  EchoSink& sink = Start(1, false);
  auto client = ConnectTo(dir_.socketPath());
  const std::string text = "late";
  std::vector<std::uint64_t> ids;
  ASSERT_TRUE(client->Submit(std::vector(2, EchoRequest(text)), ids));
  client->Cancel(ids[0]);
  const Answer answer = NextAnswer(*client);
  EXPECT_EQ(answer.itemId, ids[0]);
  EXPECT_EQ(answer.status, ItemStatus::kCancelled);
  sink.SetOpen(true);
  EXPECT_EQ(NextAnswer(*client).itemId, ids[1]);
}

TEST_F(ChannelServerTest, ANewTextReachesClientsOldAndNew) {
  Start(1);
  auto client = ConnectTo(dir_.socketPath());
  const std::string large(1 << 20, 't');  // more than a socket buffer holds
  server_->PublishText(large);
  std::vector<std::string> texts;
  while (texts.empty()) ASSERT_TRUE(WaitForBytes(*client, texts));
  EXPECT_EQ(texts.at(0), large);
  EXPECT_EQ(ConnectTo(dir_.socketPath())->welcomeText(), large);
}

TEST_F(ChannelServerTest, AnswersAndTextsDoNotMixOnTheSocket) {
  Start(2);
  auto client = ConnectTo(dir_.socketPath());
  std::vector<std::string> texts;
  std::size_t answered = 0;
  const std::string text = "x";
  for (int round = 0; round < 50; ++round) {
    std::vector<std::uint64_t> ids;
    ASSERT_TRUE(client->Submit(std::vector(8, EchoRequest(text)), ids));
    server_->PublishText("text " + std::string(50'000, static_cast<char>('a' + round % 26)));
    for (std::size_t wanted = answered + 8; answered < wanted;) {
      while (const auto completion = client->NextCompletion()) {
        EXPECT_EQ(TakeAnswer(*client, *completion).status, ItemStatus::kOk);
        ++answered;
      }
      if (answered < wanted) {
        ASSERT_TRUE(WaitForBytes(*client, texts));
      }
    }
  }
  server_->PublishText("last");
  while (texts.empty() || texts.back() != "last") ASSERT_TRUE(WaitForBytes(*client, texts));
}

TEST_F(ChannelServerTest, OneClientTooManyIsRefused) {
  EchoSink& sink = Start(1, true, 2);
  auto first = ConnectTo(dir_.socketPath());
  auto second = ConnectTo(dir_.socketPath());
  EXPECT_THROW(ConnectTo(dir_.socketPath()), ChannelError);
  first.reset();
  sink.WaitUntilGone(1);
  EXPECT_EQ(ConnectTo(dir_.socketPath())->welcomeText(), "hello");
}

TEST_F(ChannelServerTest, StopLetsAnswersDrainAndRefusesNewItems) {
  EchoSink& sink = Start(1, false);
  auto client = ConnectTo(dir_.socketPath());
  const std::string text = "drain";
  std::vector<std::uint64_t> ids;
  ASSERT_TRUE(client->Submit(std::vector(3, EchoRequest(text)), ids));
  sink.WaitUntilQueued(3);
  std::thread stopper([&] { server_->Stop(std::chrono::seconds(30)); });
  while (std::filesystem::exists(dir_.socketPath())) std::this_thread::yield();  // draining from here on
  ASSERT_TRUE(client->Submit(std::vector{EchoRequest(text)}, ids));
  EXPECT_EQ(NextAnswer(*client).status, ItemStatus::kUnavailable);
  sink.SetOpen(true);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(NextAnswer(*client).status, ItemStatus::kOk);
  EXPECT_EQ(NextAnswer(*client).itemId, 0u);  // closed
  stopper.join();
}

TEST_F(ChannelServerTest, AResponderMayOutliveTheServer) {
  EchoSink& sink = Start(1, false);
  auto client = ConnectTo(dir_.socketPath());
  const std::string text = "late";
  std::vector<std::uint64_t> ids;
  ASSERT_TRUE(client->Submit(std::vector(2, EchoRequest(text)), ids));
  sink.WaitUntilQueued(2);
  server_->Stop(milliseconds(0));
  server_.reset();
  EXPECT_EQ(NextAnswer(*client).itemId, 0u);
  EXPECT_EQ(client->ItemsInFlight().size(), 2u);
}

TEST_F(ChannelServerTest, ManyClientsEachGetTheirOwnAnswers) {
  Start(3);
  std::vector<std::thread> threads;
  for (int number = 0; number < 12; ++number) {
    threads.emplace_back([&, number] {
      auto client = ConnectTo(dir_.socketPath(), 16);
      std::size_t answered = 0;
      for (int i = 0; i < 200; ++i) {
        const std::string text = "client " + std::to_string(number) + " item " + std::to_string(i);
        std::vector<std::uint64_t> ids;
        ASSERT_TRUE(client->Submit(std::vector{EchoRequest(text)}, ids));
        const Answer answer = NextAnswer(*client);
        ASSERT_EQ(answer.itemId, ids.at(0));
        ASSERT_EQ(answer.outputs.at(0), text);
        ++answered;
      }
      EXPECT_EQ(answered, 200u);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace interleave
