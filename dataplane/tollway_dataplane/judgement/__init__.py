"""May what is remembered answer this prompt? Two prompts or chats compared: facts, then how likely. Pure."""
