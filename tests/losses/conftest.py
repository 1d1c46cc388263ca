from tests.single_thread import single_thread as single_thread
