// Models whose loads do not end, by files that are pipes: whoever reads one waits until somebody writes to it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "engine_fixture.h"

namespace interleave {
namespace {

using test::kSecondNs;
using test::PlanOf;
using test::Text;
using test::With;

class LoadersTest : public test::EngineTest {
 protected:
  std::string Pipe(const std::string& name) {
    const std::string path = dir_.File(name);
    if (mkfifo(path.c_str(), 0600) != 0) std::abort();
    return path;
  }
  // Ends what waits for the pipe: it reads an empty file, or none.
  static void Release(const std::string& pipe) {
    const int fd = open(pipe.c_str(), O_RDWR);
    unlink(pipe.c_str());
    close(fd);
  }
  static void WaitFor(const Engine& engine, std::size_t model, ModelState state) {
    while (engine.models().All()[model]->state() != state) std::this_thread::yield();
  }
  static EnginePlan Impatient(std::vector<ModelPlan> models, Lane lane = Lane::kRealtime) {
    EnginePlan plan = With(std::move(models), lane);
    plan.slowLoadNs = kSecondNs / 20;
    return plan;
  }
};

TEST_F(LoadersTest, LoadsTheOthersPastLoadsThatDoNotEnd) {
  for (const Lane lane : {Lane::kRealtime, Lane::kBatch}) {
    std::vector<ModelPlan> plans;
    std::vector<std::string> pipes;
    for (std::size_t i = 0; i + 1 < kLoadersMax; ++i) {
      pipes.push_back(Pipe("slow" + std::to_string(pipes.size()) + (lane == Lane::kBatch ? "b" : "")));
      plans.push_back(PlanOf(pipes.back()));
    }
    plans.push_back(PlanOf(encoder_));
    plans.push_back(PlanOf(encoder_));
    Engine engine(Impatient(plans, lane));
    engine.LoadModels(test::Library(), [] {});
    WaitFor(engine, kLoadersMax - 1, ModelState::kReady);
    WaitFor(engine, kLoadersMax, ModelState::kReady);
    for (std::size_t i = 0; i < pipes.size(); ++i) EXPECT_EQ(engine.models().All()[i]->state(), ModelState::kLoading);
    const std::uint64_t id = lane == Lane::kBatch ? 2 : 1;
    engine.OnItem(Make(id, Text(5), kLoadersMax));
    EXPECT_EQ(AnswerTo(id).status, ItemStatus::kOk);
    for (const std::string& pipe : pipes) Release(pipe);
    for (std::size_t i = 0; i < pipes.size(); ++i) WaitFor(engine, i, ModelState::kFailed);
  }
}

TEST_F(LoadersTest, LoadsOneAtATimeWhereLoadsEnd) {
  const std::string pipe = Pipe("slow");
  EnginePlan plan = With({PlanOf(pipe), PlanOf(encoder_)});
  plan.slowLoadNs = 3600 * kSecondNs;
  Engine engine(plan);
  engine.LoadModels(test::Library(), [] {});
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // several ticks; longer makes it no less right
  EXPECT_EQ(engine.models().All()[1]->state(), ModelState::kLoading);
  Release(pipe);
  WaitFor(engine, 1, ModelState::kReady);
}

TEST_F(LoadersTest, SaysForHowLongAModelHasBeenLoading) {
  const std::string pipe = Pipe("slow");
  Engine engine(Impatient({PlanOf(pipe), PlanOf(encoder_)}));
  engine.LoadModels(test::Library(), [] {});
  while (!engine.IsLoadingForLong()) std::this_thread::yield();
  EXPECT_EQ(engine.models().All()[0]->reason().find("loading for "), 0U) << engine.models().All()[0]->reason();
  EXPECT_NE(ReportsJson(engine.models()).find(R"("state":"loading","reason":"loading for )"), std::string::npos);
  engine.OnItem(Make(1, Text(5)));
  EXPECT_EQ(AnswerTo(1).message, "model version 1 is still loading");
  Release(pipe);
  WaitFor(engine, 0, ModelState::kFailed);
  EXPECT_FALSE(engine.IsLoadingForLong());
  EXPECT_EQ(engine.models().All()[0]->reason().find("loading for "), std::string::npos) << engine.models().All()[0]->reason();
}

TEST_F(LoadersTest, ShowsInTheHeartbeatWhatIsLoaded) {
  const int fd = memfd_create("heartbeat", 0);
  const std::size_t slot = 2 + 2 * 2;  // word of the first loader, after an executor and the express executor
  ASSERT_EQ(ftruncate(fd, 4096), 0);
  const auto word = [&] {
    std::uint64_t value = 0;
    EXPECT_EQ(pread(fd, &value, sizeof(value), static_cast<off_t>(slot * sizeof(value))), 8);
    return value;
  };
  const std::string pipe = Pipe("slow");
  EnginePlan plan = With({PlanOf(encoder_), PlanOf(pipe)});
  plan.heartbeatFd = fd;
  Engine engine(plan);
  engine.LoadModels(test::Library(), [] {});
  WaitFor(engine, 0, ModelState::kReady);
  while (word() != (2 | std::uint64_t{1} << 32)) std::this_thread::yield();  // revision 2, loading
  Release(pipe);
  while (word() != 0) std::this_thread::yield();
  engine.Close();
  close(fd);
}

TEST_F(LoadersTest, LoadsThoseLastThatThePlanSaysSoOf) {
  ModelPlan last = PlanOf(Pipe("last"));
  last.loadsLast = true;
  EnginePlan plan = With({last, PlanOf(encoder_), PlanOf(encoder_)});
  plan.slowLoadNs = 3600 * kSecondNs;
  Engine engine(plan);
  engine.LoadModels(test::Library(), [] {});
  WaitFor(engine, 1, ModelState::kReady);
  WaitFor(engine, 2, ModelState::kReady);
  Release(last.options.modelPath);
}

}  // namespace
}  // namespace interleave
